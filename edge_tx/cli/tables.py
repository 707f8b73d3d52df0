"""A report in the terminal: what is the same for all rows above, a table, what to know below."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_tx.cli.screen import facts, grid

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.report import Report, ReportContext, ReportModel, ReportRow, ScenarioResult
    from edge_tx.report_text import Column

__all__ = ["of_report"]

# Left out first where there is no room for all, the last ones before the others.
_DISPENSABLE = (
    "cosine", "GPU MB", "mean ms", "p99.9 ms", "private MB", "decode ms", "tok ms", "infer ms",
    "p90 ms", "CPU ms", "steady MB", "quiet", "max error", "first ms", "load ms",
)  # fmt: skip


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
        shown = _columns(report, ran, same)
        parts += ["", _fitting(shown, ran, width or _terminal_width())]
    for table in (_scenarios(ran), _sustained(ran), _notes(report.rows)):
        if table is not None:
            parts += ["", table]
    said = list(summary(report))
    if said:
        parts += ["", *said]
    return parts


def _named(model: ReportModel) -> str:
    return f"{model.name} ({model.task})" if model.task else model.name


def _terminal_width() -> int:
    return shutil.get_terminal_size((80, 24)).columns  # as rich has it, without a terminal too


def _about(context: ReportContext) -> dict[str, object]:
    return {
        "model": ", ".join(_named(model) for model in context.models),
        "device": context.device["cpu"]["model"],
        "versions": ", ".join(f"{name} {number}" for name, number in context.versions.items()),
        "accuracy": _accuracy(context.data),
        "not measurable": ", ".join(context.unmeasured),
    }


def _accuracy(data: Mapping[str, Any]) -> str:
    """Of which data, and by which metrics; a report of accuracy says who chose them."""
    named = ", ".join(data.get("metrics", ()))
    chosen = data.get("chosen", "")
    how = ": ".join(filter(None, (chosen, named)))
    return f"{data['path']} ({how})" if named else ""


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
        found["model"] = ", ".join(_named(model) for model in context.models)
    return found


def _columns(report: Report, ran: Sequence[ReportRow], same: dict[str, object]) -> list[Column]:
    from edge_tx.report_text import COLUMNS, scores

    wanted = [*COLUMNS[:-1], *scores(report)]
    return [c for c in wanted if c.title not in same and any(map(c.show, ran))]


def _fitting(columns: Sequence[Column], ran: Sequence[ReportRow], width: int) -> RenderableType:
    """The table with as many columns as fit beside each other."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10_000)
    left = list(columns)
    table = _table(left, ran)
    for title in _DISPENSABLE:
        if Measurement.get(console, console.options, table).maximum <= width:
            break
        left = [column for column in left if column.title != title]
        table = _table(left, ran)
    return table


def _table(columns: Sequence[Column], ran: Sequence[ReportRow]) -> RenderableType:
    # Numbers are narrow and their heads are not: two lines of head fit 80 columns.
    heads = [column.title.replace(" ", "\n") for column in columns]
    lines = [[column.show(row) for column in columns] for row in ran]
    return grid(heads, lines, right=[h for h, c in zip(heads, columns, strict=True) if c.right])


def _scenarios(ran: Sequence[ReportRow]) -> RenderableType | None:
    lines = [_trial(_place(row, ran), one) for row in ran for one in row.scenarios]
    heads = ("cell", "scenario", "driver", "result", "queries", "note")
    return grid(heads, lines, right="queries") if lines else None


def _trial(place: str, one: ScenarioResult) -> tuple[str, ...]:
    note = "" if one.valid else f"not valid: {one.note}"
    judged = one.metric.removesuffix(" latency")
    result = f"{judged} {one.value:,.2f} ms" if one.unit == "ms" else f"{one.value:,.0f}/s"
    return (place, one.name, one.driver, result, f"{one.queries:,}", note)


def _sustained(ran: Sequence[ReportRow]) -> RenderableType | None:
    """The first, the worst and the last stretch of each sustained run."""
    lines = [line for row in ran if row.sustained for line in _stretches(row, _place(row, ran))]
    heads = ("cell", "stretch", "at s", "p50 ms", "p90 ms", "p99 ms", "°C")
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
    lines: dict[str, list[str]] = {}
    for name, note in _noted(rows):
        lines.setdefault(name, []).append(note)
    return facts({name: "\n".join(notes) for name, notes in lines.items()}) if lines else None


def _noted(rows: Sequence[ReportRow]) -> Iterator[tuple[str, str]]:
    """Each note once, with the graph's cells that it is of unless it is of all of them."""
    from edge_tx.report_text import note_of

    alone = len({row.model for row in rows}) == 1
    graphs: dict[tuple[str, str], list[ReportRow]] = {}
    for row in rows:
        graphs.setdefault((row.model, row.graph), []).append(row)
    for (model, graph), own in graphs.items():
        name = graph if alone and graph else f"{model} {graph}".strip()
        for note in dict.fromkeys(note_of(row) for row in own if row.note):
            same = [row for row in own if note_of(row) == note]
            where = "" if len(same) == len(own) else ", ".join(_place(row, own) for row in same)
            yield name, f"{where}: {note}" if where else note


def _place(row: ReportRow, rows: Sequence[ReportRow]) -> str:
    """What tells a row from the others: model, graph and axes, if they differ."""
    from edge_tx.report import count_of

    told = {
        "model": row.model,
        "graph": row.graph,
        "threads": count_of(row.threads, "thread"),
        "batch": f"batch {row.batch}",
        "seq": count_of(row.seq, "token") if row.seq else "mixed lengths",
    }
    differ = [name for name in told if len({getattr(one, name) for one in rows}) > 1]
    return ", ".join(told[name] for name in differ or ("graph",))
