"""A report as a table for the terminal, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from edge_tx.report import Report, ReportRow
from edge_tx.strict_json import encode

__all__ = ["COLUMNS", "Column", "csv_lines", "json_text", "note_of", "summary", "terminal"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table people read.

    Attributes:
        title: Its head, with the unit.
        show: A row's cell; empty where there is nothing to show.
        right: Whether it is a number.
        wide: Whether it is only shown where there is room.
    """

    title: str
    show: Callable[[ReportRow], str]
    right: bool = True
    wide: bool = False


def _scaled(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def _milliseconds(ns: float | None, digits: int = 2) -> str:
    """Of long times fewer digits, as nobody reads them."""
    size = 0.0 if ns is None else ns / 1e6
    return _scaled(ns, 1e6, 0 if size >= 1000 else min(digits, 1) if size >= 100 else digits)


def _latency(name: str) -> Callable[[ReportRow], str]:
    return lambda row: _milliseconds(getattr(row.latency, name, None))


def _phase(name: str) -> Callable[[ReportRow], str]:
    def show(row: ReportRow) -> str:
        stats = getattr(row.phases, name, None)
        return _milliseconds(stats.p50_ns) if stats else ""

    return show


def _memory(name: str) -> Callable[[ReportRow], str]:
    return lambda row: _scaled(getattr(row.memory, name, None), 1e6, 0)


def _parity(name: str, form: str) -> Callable[[ReportRow], str]:
    return lambda row: format(getattr(row.parity, name), form) if row.parity else ""


def _energy(row: ReportRow) -> str:
    return f"{row.energy.per_answer_joules * 1e3:.3g}" if row.energy else ""


def _undisturbed(row: ReportRow) -> str:
    return "" if row.undisturbed is None else f"{row.undisturbed:.0%}"


COLUMNS = (
    Column("model", lambda row: row.model, right=False),
    Column("graph", lambda row: row.graph, right=False),
    Column("threads", lambda row: str(row.threads)),
    Column("batch", lambda row: str(row.batch)),
    Column("seq", lambda row: str(row.seq) if row.seq else "mixed"),
    Column("MB", lambda row: _scaled(row.size_bytes, 1e6, 1)),
    Column("max error", _parity("max_abs_error", ".1e")),
    Column("cosine", _parity("min_cosine", ".5f"), wide=True),
    Column("load ms", lambda row: _milliseconds(row.load_ns, 0)),
    Column("first ms", lambda row: _milliseconds(row.first_answer_ns, 1)),
    Column("p50 ms", lambda row: _milliseconds(row.typical_ns)),
    Column("quiet", _undisturbed, wide=True),
    Column("p90 ms", _latency("p90_ns"), wide=True),
    Column("p99 ms", _latency("p99_ns")),
    Column("p99.9 ms", _latency("p999_ns"), wide=True),
    Column("mean ms", _latency("mean_ns"), wide=True),
    Column("tok ms", _phase("tokenization"), wide=True),
    Column("infer ms", _phase("inference"), wide=True),
    Column("decode ms", _phase("decoding"), wide=True),
    Column("CPU ms", lambda row: _milliseconds(row.cpu_ns_per_answer), wide=True),
    Column("per second", lambda row: _scaled(row.list_throughput or row.throughput, 1, 0)),
    Column("peak MB", _memory("peak_bytes")),
    Column("steady MB", _memory("steady_bytes"), wide=True),
    Column("private MB", _memory("private_bytes"), wide=True),
    Column("GPU MB", _memory("gpu_bytes"), wide=True),
    Column("mJ", _energy, wide=True),
    Column("note", lambda row: note_of(row), right=False),
)


def scores(report: Report) -> tuple[Column, ...]:
    """A column for each metric of accuracy."""
    names = dict.fromkeys(name for row in report.rows for name in row.accuracy)

    def show(name: str) -> Callable[[ReportRow], str]:
        return lambda row: f"{row.accuracy[name]:.4f}" if name in row.accuracy else ""

    return tuple(Column(name, show(name)) for name in names)


def note_of(row: ReportRow) -> str:
    """A row's note, with what kind of failure it is before it; why one was skipped says itself."""
    kind = f" ({row.failure})" if row.failure not in ("", "error") else ""
    status = f"failed{kind}" if row.status == "failed" else ""
    return ": ".join(filter(None, (status, row.note)))


def json_text(report: Report) -> str:
    """The report itself."""
    return report.to_json()


def terminal(report: Report) -> str:
    """A table of all columns that have something to say; wide, nothing is cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(_title(report)), title_justify="left")
    columns = (*COLUMNS[:-1], *scores(report), COLUMNS[-1])
    shown = [c for c in columns if any(c.show(row) for row in report.rows)]
    for column in shown:
        table.add_column(column.title, justify="right" if column.right else "left")
    for row in report.rows:
        # Text, not str: names may hold what rich takes for markup.
        table.add_row(*(Text(column.show(row)) for column in shown))
    out = io.StringIO()
    # Nothing is cut off: a file or a narrow terminal wraps or scrolls.
    console = Console(file=out, width=max(80, 14 * len(shown) + 40))
    console.print(table)
    for line in summary(report):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def summary(report: Report) -> Iterator[str]:
    """What must be known beside the table, one line each."""
    if report.context.noise is not None:
        yield report.context.noise.said
    yield from report.context.remarks


def _title(report: Report) -> str:
    context = report.context
    versions = ", ".join(f"{name} {version}" for name, version in context.versions.items())
    models = [f"{model.name} ({model.task})" for model in context.models]
    return " · ".join(filter(None, (*models, versions, context.created)))


def csv_lines(report: Report) -> str:
    """One line per row, in the report's own units; records are spread, samples left out."""
    out = io.StringIO()
    metrics = [f"accuracy_{column.title}" for column in scores(report)]
    writer = csv.DictWriter(out, [*_CSV_FIELDS, *metrics], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_flat(row) for row in report.rows)
    return out.getvalue()


# Raw samples and tables inside a row have no place in one line.
_NOT_FLAT = (
    "samples_ns",
    "stretches",
    "repeats_ns",
    "repeats_stretches",
    "scenarios",
    "sustained",
    "accuracy",
)


def _names(record: type[Any], before: str = "") -> Iterator[str]:
    hints = get_type_hints(record)
    for field in fields(record):
        name, hint = before + field.name, hints[field.name]
        if name in _NOT_FLAT:
            continue
        inner: Any = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
        if inner is not None:
            yield from _names(inner, f"{name}_")
        else:
            yield name


_CSV_FIELDS = tuple(_names(ReportRow))


def _flat(row: ReportRow) -> dict[str, Any]:
    flat = dict(_cells(encode(row)))
    known = {name: flat[name] for name in _CSV_FIELDS if name in flat}
    return known | {f"accuracy_{name}": value for name, value in row.accuracy.items()}


def _cells(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{before}{name}_")
        else:
            yield before + name, value
