"""A report in the terminal: what is the same for all rows above, a table, what to know below."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_tx.cli.screen import facts, grid

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.report import Report, ReportContext, ReportRow, ScenarioResult
    from edge_tx.report_text import Column

__all__ = ["of_report"]

# Left out first where there is no room for all, the last ones before the others.
_DISPENSABLE = (
    "cosine", "GPU MB", "mean ms", "p99.9 ms", "private MB", "decode ms", "tok ms", "infer ms",
    "p90 ms", "CPU ms", "steady MB", "max error", "first ms", "load ms",
)  # fmt: skip
_GAP = 4


def of_report(report: Report, width: int = 0) -> list[RenderableType]:
    """The parts to print.

    Args:
        report: The report.
        width: Columns of the terminal; found out if 0.
    """
    from edge_tx.report_text import summary

    ran = [row for row in report.rows if row.status == "ok"]
    same = _same(report.context, ran)
    parts: list[RenderableType] = [facts(_about(report.context) | same)]
    if ran:
        columns = _fitting(_columns(report, ran, same), ran, width or _terminal_width())
        heads = [column.title.replace(" ", "\n") for column in columns]
        lines = [[column.show(row) for column in columns] for row in ran]
        right = [h for h, column in zip(heads, columns, strict=True) if column.right]
        parts += ["", grid(heads, lines, right=right)]
    for table in (_scenarios(ran), _sustained(ran), _notes(report.rows)):
        if table is not None:
            parts += ["", table]
    said = list(summary(report))
    if said:
        parts += ["", *said]
    return parts


def _terminal_width() -> int:
    return shutil.get_terminal_size((120, 24)).columns


def _about(context: ReportContext) -> dict[str, object]:
    return {
        "model": ", ".join(f"{model.name} ({model.task})" for model in context.models),
        "device": context.device["cpu"]["model"],
        "versions": ", ".join(f"{name} {number}" for name, number in context.versions.items()),
        "not measurable": ", ".join(context.unmeasured),
    }


# Of a single value, these stand above the table: the column's title, and what 0 or 1 would say.
_ABOVE = ("model", "threads", "batch", "seq")


def _same(context: ReportContext, ran: Sequence[ReportRow]) -> dict[str, object]:
    """What is the same for all rows, by column; the model is told anyway."""
    from edge_tx.report_text import COLUMNS

    found: dict[str, object] = {}
    for column in COLUMNS:
        values = {column.show(row) for row in ran}
        if column.title in _ABOVE and len(values) == 1:
            found[column.title] = values.pop()
    if "model" in found:
        found["model"] = ", ".join(f"{model.name} ({model.task})" for model in context.models)
    return found


def _columns(report: Report, ran: Sequence[ReportRow], same: dict[str, object]) -> list[Column]:
    from edge_tx.report_text import COLUMNS, scores

    wanted = [*COLUMNS[:-1], *scores(report)]
    return [c for c in wanted if c.title not in same and any(map(c.show, ran))]


def _fitting(columns: list[Column], ran: Sequence[ReportRow], width: int) -> list[Column]:
    """The columns that fit beside each other."""
    left = list(columns)
    for title in _DISPENSABLE:
        if sum(_wide(column, ran) + _GAP for column in left) - _GAP <= width:
            break
        left = [column for column in left if column.title != title]
    return left


def _wide(column: Column, ran: Sequence[ReportRow]) -> int:
    cells = (*column.title.split(" "), *(column.show(row) for row in ran))
    return max(map(len, cells))


def _scenarios(ran: Sequence[ReportRow]) -> RenderableType | None:
    lines = [_trial(_place(row, ran), one) for row in ran for one in row.scenarios]
    heads = ("graph", "scenario", "driver", "metric", "value", "queries", "note")
    return grid(heads, lines, right="value queries") if lines else None


def _trial(place: str, one: ScenarioResult) -> tuple[str, ...]:
    note = "" if one.valid else f"not valid: {one.note}"
    value = f"{one.value:,.2f} {one.unit}"
    return (place, one.name, one.driver, one.metric, value, f"{one.queries:,}", note)


def _sustained(ran: Sequence[ReportRow]) -> RenderableType | None:
    """The first, the worst and the last stretch of each sustained run."""
    lines = [line for row in ran if row.sustained for line in _stretches(row, _place(row, ran))]
    heads = ("graph", "stretch", "at s", "p50 ms", "p90 ms", "p99 ms", "°C")
    return grid(heads, lines, right=heads[2:]) if lines else None


def _stretches(row: ReportRow, place: str) -> Iterator[tuple[str, ...]]:
    worst = max(row.sustained, key=lambda window: window.latency.p50_ns)
    for name, window in zip(
        ("first", "worst", "last"), (row.sustained[0], worst, row.sustained[-1]), strict=True
    ):
        stats = window.latency
        times = (f"{ns / 1e6:.2f}" for ns in (stats.p50_ns, stats.p90_ns, stats.p99_ns))
        heat = "" if window.temperature_c is None else f"{window.temperature_c:.0f}"
        yield (place, name, f"{window.start_ns / 1e9:.0f}", *times, heat)


def _notes(rows: Sequence[ReportRow]) -> RenderableType | None:
    """What could not be measured and why, and what is odd about what was."""
    return facts(dict(_noted(rows))) if any(row.note for row in rows) else None


def _noted(rows: Sequence[ReportRow]) -> Iterator[tuple[str, str]]:
    from edge_tx.report_text import note_of

    found: dict[tuple[str, str], list[ReportRow]] = {}
    for row in rows:
        if row.note:
            found.setdefault((f"{row.model} {row.graph}".strip(), note_of(row)), []).append(row)
    alone = len({row.model for row in rows}) == 1
    for (_name, note), same in found.items():
        graph = [row for row in rows if (row.model, row.graph) == (same[0].model, same[0].graph)]
        name = same[0].graph if alone and same[0].graph else _name
        cells = "" if len(same) == len(graph) else ", ".join(_point(row) for row in same)
        yield f"{name} {cells}".strip(), note


def _point(row: ReportRow) -> str:
    return f"{row.threads}x{row.batch}x{row.seq}"


def _place(row: ReportRow, ran: Sequence[ReportRow]) -> str:
    """The graph, and of the axes those that differ."""
    parts = [row.model] if len({one.model for one in ran}) > 1 else []
    parts.append(row.graph)
    for name in ("threads", "batch", "seq"):
        if len({getattr(one, name) for one in ran}) > 1:
            parts.append(f"{name} {getattr(row, name)}")
    return " ".join(parts)
