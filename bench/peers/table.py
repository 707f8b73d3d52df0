"""The peers' table: medians over rounds, and ratios against the best peer of each column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

__all__ = ["COLUMNS", "likeness", "medians", "render"]

_SAME = 0.999


@dataclass(frozen=True)
class Column:
    """One number of a row.

    Attributes:
        title: What the table prints.
        key: Of a round's numbers.
        unit: What one unit of the title is in those numbers.
        digits: Decimals.
        more_is_better: Whether a larger number is the better one.
    """

    title: str
    key: str
    unit: float
    digits: int
    more_is_better: bool = False

    def better(self, mine: float, other: float) -> float:
        """How many times better mine is: over 1 is better, whichever way the column points."""
        return mine / other if self.more_is_better else other / mine

    def best(self, values: list[float]) -> float:
        return max(values) if self.more_is_better else min(values)


COLUMNS = (
    Column("one text p50 ms", "p50_ns", 1e6, 2),
    Column("texts per second", "per_second", 1, 0, more_is_better=True),
    Column("load s", "load_ns", 1e9, 2),
    Column("first ms", "first_ns", 1e6, 1),
    Column("peak MB", "peak_bytes", 1e6, 0),
)


def likeness(saved: Mapping[str, Path], reference: str) -> dict[str, float | None]:
    """The least cosine of each peer's embeddings to the reference's; None if it gave none."""
    if not saved[reference].exists():
        return dict.fromkeys(saved)
    right = _unit(np.load(saved[reference]))
    return {
        name: float((_unit(np.load(file)) * right).sum(1).min()) if file.exists() else None
        for name, file in saved.items()
    }


def _unit(vectors: Any) -> Any:
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def medians(row: Mapping[str, Any]) -> dict[str, float]:
    """The median over a row's rounds by column; empty if a round failed."""
    rounds = row["rounds"]
    if not rounds or any("error" in one for one in rounds):
        return {}
    return {column.key: median(one[column.key] for one in rounds) for column in COLUMNS}


def render(report: Mapping[str, Any]) -> str:
    """The table in Markdown, with the remarks below it."""
    rows = [(row, medians(row)) for row in report["rows"]]
    peers = [numbers for row, numbers in rows if numbers and not row["ours"]]
    best = {c.key: c.best([p[c.key] for p in peers]) for c in COLUMNS} if peers else {}
    head = ["", *(column.title for column in COLUMNS), "least cosine"]
    lines = [_line(head), _line(["---", *("---:" for _ in head[1:])])]
    lines += [_line([row["name"], *_cells(row, numbers, best)]) for row, numbers in rows]
    return "\n".join([*lines, *_remarks(report)])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _cells(row: Mapping[str, Any], numbers: dict[str, float], best: dict[str, float]) -> list[str]:
    if not numbers:
        return [*("failed" for _ in COLUMNS), ""]
    show: Callable[[Column], str] = lambda c: f"{numbers[c.key] / c.unit:.{c.digits}f}"  # noqa: E731
    cells = [
        f"{show(c)} ({c.better(numbers[c.key], best[c.key]):.2f})" if best else show(c)
        for c in COLUMNS
    ]
    return [*cells, f"{row['cosine']:.4f}"]


def _remarks(report: Mapping[str, Any]) -> list[str]:
    remarks = []
    for row in report["rows"]:
        errors = {one["error"] for one in row["rounds"] if "error" in one}
        remarks += [f"{row['name']} failed: {error}" for error in sorted(errors)]
        wrong = row["cosine"] is not None and row["cosine"] < _SAME
        if wrong and row["precision"] == "fp32":
            remarks.append(
                f"{row['name']}: its answers differ, least cosine {row['cosine']:.4f} < {_SAME}"
            )
    return ["", *remarks, *_spread(report)]


def _spread(report: Mapping[str, Any]) -> list[str]:
    """How far rounds of the same row lie apart: what smaller ratios mean nothing beside."""
    apart = {
        column.title: median(
            max(one[column.key] for one in row["rounds"])
            / min(one[column.key] for one in row["rounds"])
            for row in report["rows"]
            if medians(row)
        )
        for column in COLUMNS
        if any(medians(row) for row in report["rows"])
    }
    rounds = report["settings"]["rounds"]
    told = ", ".join(f"{title} {ratio:.2f}" for title, ratio in apart.items())
    return [f"Largest over smallest of a row's {rounds} rounds, the median row: {told}"]
