"""Rows of one report or of several, with names that tell them apart and looks of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge_tx.report import Report, ReportRow

__all__ = ["Cell", "Place", "Style", "cells_of", "number", "short_names", "styles"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a row was measured with; -1 where a field is left open, as it is an axis.

    Attributes:
        batch: Inputs of one call.
        seq: Tokens of one input; 0 for real texts of mixed lengths.
        threads: CPU threads of one call.
    """

    batch: int
    seq: int
    threads: int

    def without(self, field: str) -> Place:
        """The same, with one field left open."""
        return replace(self, **{field: -1})

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sorts places: few inputs and short ones first, with all the threads there are."""
        return (self.batch, self.seq, -self.threads)

    @property
    def text(self) -> str:
        """For people: ``"2 threads, batch 1, 128 tokens"``."""
        parts = (
            (self.threads, f"{self.threads} thread{'s' if self.threads != 1 else ''}"),
            (self.batch, f"batch {self.batch}"),
            (self.seq, f"{self.seq} tokens" if self.seq else "texts of mixed lengths"),
        )
        return ", ".join(text for value, text in parts if value >= 0)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row and where it comes from.

    Attributes:
        row: The row.
        report: Name of its report.
        name: Of its graph, with model and report where they are needed to tell it apart.
    """

    row: ReportRow
    report: str
    name: str

    @property
    def place(self) -> Place:
        """What it was measured with."""
        return Place(self.row.batch, self.row.seq, self.row.threads)


def cells_of(reports: Mapping[str, Report]) -> tuple[Cell, ...]:
    """The rows of reports, named apart.

    Args:
        reports: By their names, e.g. of their files.
    """
    pairs = [(name, row) for name, report in reports.items() for row in report.rows]
    models = short_names(row.model for _, row in pairs)
    holders = Counter(
        key for report in reports.values() for key in {(r.model, r.graph) for r in report.rows}
    )

    def named(report: str, row: ReportRow) -> str:
        model = f"{models[row.model]} / " if len(models) > 1 and row.model else ""
        where = f" ({report})" if holders[row.model, row.graph] > 1 else ""
        return f"{model}{row.graph}{where}"

    return tuple(Cell(row, report, named(report, row)) for report, row in pairs)


def short_names(models: Iterable[str]) -> Mapping[str, str]:
    """Names of models without their owner (``"owner__name"``), where that tells them apart."""
    known = dict.fromkeys(models)
    ends = Counter(model.rpartition("__")[2] for model in known)
    return {m: end if ends[end := m.rpartition("__")[2]] == 1 else m for m in known}


@dataclass(frozen=True, slots=True)
class Style:
    """How a graph looks in every chart.

    Attributes:
        color: Number of a colour: the backend's, or the graph's own where there is one backend.
        mark: Number of a shape and of a kind of line, so that colour is never all there is.
    """

    color: int
    mark: int


def styles(cells: Iterable[Cell]) -> Mapping[str, Style]:
    """Styles by name of graph."""
    backends: dict[str, dict[str, None]] = {}
    for cell in cells:
        backends.setdefault(cell.row.backend, {})[cell.name] = None
    alone = len(backends) == 1
    return {
        name: Style(mark if alone else color, mark)
        for color, names in enumerate(backends.values())
        for mark, name in enumerate(names)
    }


def number(value: float | None) -> str:
    """Three significant digits, never an exponent: ``"0.0123"``, ``"1,240"``; empty for None."""
    if value is None:
        return ""
    digits = 0
    while value and abs(value) * 10**digits < 100 and digits < 9:
        digits += 1
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
