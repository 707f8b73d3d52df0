"""The table of all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_tx.report import Report
from edge_tx.report_text import COLUMNS, Column, scores
from edge_tx.views.cells import Cell
from edge_tx.views.elements import Element, grid, tag
from edge_tx.views.shapes import Table

__all__ = ["columns", "overview", "together"]


def together(reports: Mapping[str, Report]) -> Report:
    """One report with the rows of all; its context is the first's."""
    first = next(iter(reports.values()))
    return replace(first, rows=tuple(row for r in reports.values() for row in r.rows))


def columns(reports: Mapping[str, Report]) -> tuple[Column, ...]:
    """The columns that some row has something to say in."""
    joined = together(reports)
    all_columns = (*COLUMNS[:-1], *scores(joined), COLUMNS[-1])
    return tuple(c for c in all_columns if any(map(c.show, joined.rows)))


def overview(reports: Mapping[str, Report], cells: Sequence[Cell]) -> Element:
    """A table that is sorted and filtered by our script."""
    shown = (*_lead(reports), *(_Shown.of(c) for c in columns(reports) if c.title not in _LED))
    rows = tuple(tuple(column.show(cell) for column in shown) for cell in cells)
    table = grid(
        Table(tuple(column.title for column in shown), rows),
        "All rows",
        [column.kind for column in shown],
        [cell.row.status for cell in cells],
        id="rows",
    )
    return tag(
        "section",
        tag("h2", "All rows", id="rows-title"),
        tag("div", id="filters", class_="filters"),
        table,
        aria_labelledby="rows-title",
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column of the page: its class tells the script and the style what it holds."""

    title: str
    show: Callable[[Cell], str]
    kind: str = ""

    @classmethod
    def of(cls, column: Column) -> _Shown:
        kind = "number" if column.right else column.title
        return cls(column.title, lambda cell: column.show(cell.row), kind)


_LED = ("graph", "model")


def _lead(reports: Mapping[str, Report]) -> Iterator[_Shown]:
    yield _Shown("graph", lambda cell: cell.row.graph)
    if len(reports) > 1:
        yield _Shown("report", lambda cell: cell.report)
    if any(row.model for report in reports.values() for row in report.rows):
        yield _Shown("model", lambda cell: cell.row.model)
    yield _Shown("status", lambda cell: cell.row.status, "status")
