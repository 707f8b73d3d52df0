"""The tables: all rows, and the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_tx.report import Report
from edge_tx.report_text import COLUMNS, Column, scores
from edge_tx.views.cells import Cell, number
from edge_tx.views.elements import Element, grid, tag
from edge_tx.views.shapes import Table

__all__ = ["Shown", "overview", "scenarios", "shown_columns", "together"]


def together(reports: Mapping[str, Report]) -> Report:
    """One report with the rows of all; its context is the first's."""
    first = next(iter(reports.values()))
    return replace(first, rows=tuple(row for r in reports.values() for row in r.rows))


def shown_columns(reports: Mapping[str, Report]) -> tuple[Shown, ...]:
    """The columns that some row has something to say in."""
    joined = together(reports)
    known = (*COLUMNS[:-1], *scores(joined), _BUSY, COLUMNS[-1])
    rest = (c for c in known if c.title not in _LED and any(map(c.show, joined.rows)))
    return (*_lead(reports), *map(Shown.of, rest))


_BUSY = Column("busy cores", lambda row: f"{row.budget.busy:.2f}" if row.budget else "")


def overview(reports: Mapping[str, Report], cells: Sequence[Cell]) -> Element:
    """A table that is sorted and filtered by our script."""
    shown = shown_columns(reports)
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
class Shown:
    """A column of the table.

    Attributes:
        title: Its head.
        show: Text of a cell.
        kind: What it holds, for styles and scripts: ``"number"``, ``"status"``, ``"note"``.
    """

    title: str
    show: Callable[[Cell], str]
    kind: str = ""

    @classmethod
    def of(cls, column: Column) -> Shown:
        """The same column of a row, for a cell."""
        kind = "number" if column.right else column.title
        return cls(column.title, lambda cell: column.show(cell.row), kind)


_LED = ("graph", "model")


def _lead(reports: Mapping[str, Report]) -> Iterator[Shown]:
    yield Shown("graph", lambda cell: cell.row.graph)
    if len(reports) > 1:
        yield Shown("report", lambda cell: cell.report)
    if any(row.model for report in reports.values() for row in report.rows):
        yield Shown("model", lambda cell: cell.row.model)
    yield Shown("status", lambda cell: cell.row.status, "status")


def scenarios(cells: Sequence[Cell]) -> Element | None:
    """What MLPerf's scenarios came to; None if none was run."""
    rows = tuple(
        (
            cell.name,
            cell.place.text,
            run.name,
            run.driver,
            run.metric,
            f"{number(run.value)} {run.unit}",
            "yes" if run.valid else "no",
            run.note,
        )
        for cell in cells
        for run in cell.row.scenarios
    )
    if not rows:
        return None
    head = ("graph", "measured with", "scenario", "driver", "metric", "value", "valid", "note")
    title = "MLPerf scenarios"
    table = grid(Table(head, rows), title, ["", "", "", "", "", "number", "", "note"])
    return tag("section", tag("h2", title, id="scenarios"), table, aria_labelledby="scenarios")
