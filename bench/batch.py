r"""Throughput of a batch job, files in and files out, beside others on the same rows.

    python bench/batch.py BUNDLE ROWS.jsonl --work DIR
    python bench/batch.py BUNDLE ROWS.jsonl --work DIR \
        --graph auto --graph onnx-dynamic_w8 \
        --graph openvino-fp32:INFERENCE_PRECISION_HINT=bf16 \
        --peer openvino=PYTHON:MODEL --peer openvino-f32=PYTHON:MODEL --peer fastembed=PYTHON:MODEL

Contenders run in processes of their own, in turn, and each round changes the order. A graph of
ours may have a vendor's option behind a colon; ``auto`` is the job's own choice. Peers are those of
``bench/peers/whole_list.py``, each in an interpreter that has it; they are handed the texts in
memory and write nothing. Times begin when the model is open and warm. The last thing printed is a
table in Markdown of medians.

FLOPs are those of all-MiniLM-L6-v2's six layers: 21.2 million per token, and 9.2 thousand per
token and token of its row for attention. Padding is not counted. The peak is the best of some
products of 2048 x 2048 float32 matrices in numpy, with all threads. Cosines are those of each
row's embedding with the first contender's, the lowest of all rows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.bundle import Bundle
from edge_tx.tensors import Array

__all__ = ["Cell", "gemm_gflops", "lowest_cosine", "table", "useful_gflop"]

_PER_TOKEN = 21.2e6
_PER_TOKEN_AND_TOKEN = 9.2e3
_PEER = Path(__file__).resolve().parent / "peers" / "whole_list.py"


@dataclass(frozen=True, slots=True)
class Cell:
    """One contender in one round.

    Attributes:
        name: Of the contender.
        seconds: For all rows.
        detail: What it says of itself.
        is_ours: Whether it is edge_tx.
    """

    name: str
    seconds: float
    detail: str
    is_ours: bool


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


def lowest_cosine(vectors: Array, others: Array) -> float:
    """The lowest cosine of two embeddings of one row, both ``float32[rows, dim]``."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    return float(((vectors * others).sum(axis=1) / lengths).min())


def ours(bundle: Path, rows: Path, work: Path, graph: str, saved: Path) -> Cell:
    """A batch job, from its first row to its last file."""
    from pyarrow import parquet

    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-m", "edge_tx", "batch", str(bundle), str(rows), "-o", str(work)]
    name, _, option = graph.partition(":")
    chosen = [] if name == "auto" else ["--graph", name]
    chosen += ["--backend-option", option] if option else []
    told = _run([*command, "-q", "--json", *chosen])
    vectors = parquet.read_table(work, columns=["embedding"])["embedding"].combine_chunks()
    np.save(saved, vectors.flatten().to_numpy().reshape(len(vectors), -1))
    seconds = told["rows"] / told["rows_per_second"]
    detail = f"{told['graph']}, {told['streams']} streams, {told['peak_rss_bytes'] / 1e6:.0f} MB"
    return Cell(f"edge_tx {graph}", seconds, detail, is_ours=True)


def peer(kind: str, python: str, model: str, rows: Path, saved: Path) -> Cell:
    """What a user would pick instead."""
    told = _run([python, str(_PEER), kind, model, str(rows), str(saved)])
    name = kind if kind == "fastembed" else f"sentence-transformers {kind}"
    return Cell(name, told["seconds"], "", is_ours=False)


def _peer_words(word: str) -> tuple[str, str, str]:
    """``KIND=PYTHON:MODEL`` in its parts."""
    kind, _, place = word.partition("=")
    python, _, model = place.partition(":")
    return kind, python, model


def table(
    cells: Mapping[str, Sequence[Cell]],
    cosines: Mapping[str, float],
    rows: int,
    gflop: float,
    peak: float,
) -> str:
    """The medians of all contenders in Markdown, the fastest first."""
    seconds = {name: statistics.median(c.seconds for c in found) for name, found in cells.items()}
    peers = [seconds[name] for name, found in cells.items() if not found[0].is_ours]
    lines = [
        "| | s | rows/s | GFLOP/s | of the peak | times the best peer | cosine | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name in sorted(seconds, key=seconds.__getitem__):
        own, speed = seconds[name], gflop / seconds[name]
        times = f"{min(peers) / own:.2f}" if peers else ""
        lines.append(
            f"| {name} | {own:.1f} | {rows / own:,.0f} | {speed:.0f} | {speed / peak:.0%} "
            f"| {times} | {cosines[name]:.5f} | {cells[name][-1].detail} |"
        )
    return "\n".join(lines)


def _run(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def _measured(
    contenders: Sequence[Callable[[Path], Cell]], rounds: int, work: Path
) -> tuple[dict[str, list[Cell]], dict[str, float]]:
    """All cells, and the cosines of each contender with the first."""
    cells: dict[str, list[Cell]] = {}
    saved: dict[str, Path] = {}
    for turn in range(rounds):
        order = list(enumerate(contenders))
        start = turn % len(order)
        for place, contender in order[start:] + order[:start]:
            vectors = work / f"{place}.npy"
            cell = contender(vectors)
            cells.setdefault(cell.name, []).append(cell)
            saved[cell.name] = vectors
            print(f"{cell.name:44} {cell.seconds:8.2f} s  {cell.detail}", flush=True)
    first = np.load(work / "0.npy")
    return cells, {name: lowest_cosine(np.load(path), first) for name, path in saved.items()}


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--graph", action="append", metavar="GRAPH[:KEY=VALUE]")
    parser.add_argument("--peer", action="append", default=[], metavar="KIND=PYTHON:MODEL")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    contenders: list[Callable[[Path], Cell]] = [
        partial(ours, args.bundle, args.rows, args.work / "job", graph)
        for graph in args.graph or ["auto"]
    ]
    contenders += [partial(peer, *_peer_words(word), args.rows) for word in args.peer]
    gflop, peak = useful_gflop(Bundle.open(args.bundle), args.rows), gemm_gflops()
    count = len(args.rows.read_text(encoding="utf-8").splitlines())
    cells, cosines = _measured(contenders, args.rounds, args.work)
    print(f"\n{count:,} rows, {gflop:,.0f} GFLOP; peak {peak:.0f} GFLOP/s; {args.rounds} rounds\n")
    print(table(cells, cosines, count, gflop, peak))


if __name__ == "__main__":
    main()
