"""Throughput of a batch job, files in and files out, beside others on the same rows.

    python bench/batch.py BUNDLE ROWS.jsonl --work DIR
    python bench/batch.py BUNDLE ROWS.jsonl --work DIR --peer openvino=PYTHON:MODEL --rounds 3

Contenders run in processes of their own, in turn, and each round changes the order. A peer is
sentence-transformers with one of its backends, in an interpreter that has it; it is handed the
texts in memory and writes nothing. Times begin when the model is open and warm.

FLOPs are those of all-MiniLM-L6-v2's six layers: 21.2 million per token, and 9.2 thousand per
token and token of its row for attention. Padding is not counted. The peak is the best of some
products of 2048 x 2048 float32 matrices in numpy, with all threads.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.bundle import Bundle

__all__ = ["Cell", "gemm_gflops", "useful_gflop"]

_PER_TOKEN = 21.2e6
_PER_TOKEN_AND_TOKEN = 9.2e3

_PEER = """
import json, sys, time
from sentence_transformers import SentenceTransformer
backend, model, rows = sys.argv[1:]
texts = [json.loads(line)["text"] for line in open(rows, encoding="utf-8")]
model = SentenceTransformer(model, backend=backend, device="cpu")
model.encode(texts[:256], batch_size=32, show_progress_bar=False)
began = time.perf_counter()
model.encode(texts, batch_size=32, show_progress_bar=False)
print(json.dumps({"seconds": time.perf_counter() - began}))
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One contender in one round.

    Attributes:
        name: Of the contender.
        seconds: For all rows.
        detail: What it says of itself.
    """

    name: str
    seconds: float
    detail: str


def useful_gflop(bundle: Bundle, rows: Path) -> float:
    """Floating-point operations of all rows, in units of 1e9, padding left out."""
    tokenizer = bundle.tokenizer()
    texts = [json.loads(line)["text"] for line in rows.read_text(encoding="utf-8").splitlines()]
    lengths = np.array([len(encoding.ids) for encoding in tokenizer.encode(texts)], np.float64)
    return float((_PER_TOKEN * lengths + _PER_TOKEN_AND_TOKEN * lengths**2).sum() / 1e9)


def gemm_gflops(size: int = 2048, repeats: int = 8) -> float:
    """The best speed of a float32 matrix product in numpy, in GFLOP/s."""
    left = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        left @ left
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times) / 1e9


def ours(bundle: Path, rows: Path, work: Path, extra: Sequence[str]) -> Cell:
    """A batch job, from its first row to its last file."""
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-m", "edge_tx", "batch", str(bundle), str(rows), "-o", str(work)]
    told = _run([*command, "-q", "--json", *extra])
    seconds = told["rows"] / told["rows_per_second"]
    detail = f"{told['graph']}, {told['streams']} streams, {told['peak_rss_bytes'] / 1e6:.0f} MB"
    return Cell(" ".join(["edge_tx", *extra]), seconds, detail)


def peer(backend: str, python: str, model: str, rows: Path) -> Cell:
    """sentence-transformers, which sorts by length."""
    told = _run([python, "-c", _PEER, backend, model, str(rows)])
    return Cell(f"sentence-transformers {backend}", told["seconds"], "")


def _peer_words(word: str) -> tuple[str, str, str]:
    """``BACKEND=PYTHON:MODEL`` in its parts."""
    backend, _, place = word.partition("=")
    python, _, model = place.partition(":")
    return backend, python, model


def _run(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--graph", action="append", default=[], help="our graph, not the job's own choice"
    )
    parser.add_argument("--peer", action="append", default=[], metavar="BACKEND=PYTHON:MODEL")
    args = parser.parse_args()
    contenders = [
        partial(ours, args.bundle, args.rows, args.work, ("--graph", graph) if graph else ())
        for graph in args.graph or [""]
    ]
    contenders += [partial(peer, *_peer_words(word), args.rows) for word in args.peer]
    gflop, peak = useful_gflop(Bundle.open(args.bundle), args.rows), gemm_gflops()
    cells: dict[str, list[Cell]] = {}
    for turn in range(args.rounds):
        start = turn % len(contenders)
        for contender in contenders[start:] + contenders[:start]:
            cell = contender()
            cells.setdefault(cell.name, []).append(cell)
            print(f"{cell.name:36} {cell.seconds:8.2f} s  {cell.detail}", flush=True)
    print(f"\n{gflop:,.0f} GFLOP of rows; peak {peak:.0f} GFLOP/s")
    for name, found in cells.items():
        seconds = statistics.median(cell.seconds for cell in found)
        speed = gflop / seconds
        print(f"{name:36} {seconds:8.2f} s  {speed:6.1f} GFLOP/s  {speed / peak:5.1%} of the peak")


if __name__ == "__main__":
    main()
