"""Reports: what was measured, where, and every raw sample. JSON is the truth, the rest is looks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.manifest import Parity
from edge_tx.stats import LatencyStats
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads

__all__ = ["FORMATS", "SCHEMA", "Column", "Report", "ReportContext", "ReportRow", "render"]

SCHEMA = 1

STATUSES = ("ok", "failed", "skipped")


@dataclass(frozen=True, slots=True)
class ReportContext:
    """Where and when.

    Attributes:
        device: The device's ``to_dict()``.
        versions: Versions by package, edge_tx and the vendors' runtimes among them.
        created: UTC, ISO 8601.
        model: Name of the model.
        task: Name of its task.
        settings: What else was chosen: seed, warm-up, minimum time...
    """

    device: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    model: str = ""
    task: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One graph, measured in one way. None where it was not or cannot be measured.

    Attributes:
        graph: Name of the graph.
        backend: Name of its backend.
        precision: Of the graph.
        threads: CPU threads of one call.
        batch: Inputs in one call.
        seq: Tokens in one input; 0 for real texts of mixed lengths.
        size_bytes: All files of the graph.
        parity: Against the fp32 reference.
        load_ns: From nothing to a model that can be called.
        first_answer_ns: The first call, cold.
        latency: Of the warm calls, summed up from ``samples_ns``.
        throughput: Inputs per second over a long list.
        peak_rss_bytes: Most resident memory of a fresh process.
        samples_ns: Every warm call.
        note: What a reader must know.
        status: ``"ok"``, ``"failed"`` or ``"skipped"``.
    """

    graph: str
    backend: str
    precision: str
    threads: int
    batch: int
    seq: int
    size_bytes: int
    parity: Parity | None = None
    load_ns: int | None = None
    first_answer_ns: int | None = None
    latency: LatencyStats | None = None
    throughput: float | None = None
    peak_rss_bytes: int | None = None
    samples_ns: tuple[int, ...] = ()
    note: str = ""
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class Report:
    """Rows and their context.

    Attributes:
        context: Where and when.
        rows: What was measured.
        schema: Version of this format.
    """

    context: ReportContext
    rows: tuple[ReportRow, ...]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The report as JSON; nothing is lost."""
        return dumps(encode(self), indent=1).decode("utf-8")

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Reads a report, strictly.

        Raises:
            InvalidConfig: It is not a report, or one of a newer edge_tx; names the place.
        """
        name = "report"
        value = loads(text.encode("utf-8", "surrogatepass"), name, InvalidConfig)
        schema = value.get("schema") if isinstance(value, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise InvalidConfig(
                f"{name}: schema {schema} is newer than this version's {SCHEMA}: "
                "pip install -U edge-tx"
            )
        return Reader(name, InvalidConfig, _RULES).read(cls, value)


def render(report: Report, format: str = "terminal") -> str:  # noqa: A002
    """Renders a report.

    Args:
        report: The report.
        format: One of :data:`FORMATS`.

    Raises:
        UnknownName: There is no such format.
    """
    try:
        renderer = FORMATS[format]
    except KeyError:
        raise UnknownName("report format", format, FORMATS) from None
    return renderer(report)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table people read.

    Attributes:
        title: Its head, with the unit.
        show: A row's cell; empty where there is nothing to show.
        right: Whether it is a number.
    """

    title: str
    show: Callable[[ReportRow], str]
    right: bool = True


def _scaled(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def _latency(name: str) -> Callable[[ReportRow], str]:
    return lambda row: _scaled(getattr(row.latency, name, None), 1e6, 2)


def _parity(name: str, form: str) -> Callable[[ReportRow], str]:
    return lambda row: format(getattr(row.parity, name), form) if row.parity else ""


COLUMNS = (
    Column("graph", lambda row: row.graph, right=False),
    Column("threads", lambda row: str(row.threads)),
    Column("batch", lambda row: str(row.batch)),
    Column("seq", lambda row: str(row.seq) if row.seq else "mixed"),
    Column("MB", lambda row: _scaled(row.size_bytes, 1e6, 1)),
    Column("max error", _parity("max_abs_error", ".1e")),
    Column("cosine", _parity("min_cosine", ".5f")),
    Column("load ms", lambda row: _scaled(row.load_ns, 1e6, 0)),
    Column("first ms", lambda row: _scaled(row.first_answer_ns, 1e6, 1)),
    Column("p50 ms", _latency("p50_ns")),
    Column("p90 ms", _latency("p90_ns")),
    Column("p99 ms", _latency("p99_ns")),
    Column("per second", lambda row: _scaled(row.throughput, 1, 0)),
    Column("peak MB", lambda row: _scaled(row.peak_rss_bytes, 1e6, 0)),
    Column("note", lambda row: _note(row), right=False),
)


def _note(row: ReportRow) -> str:
    return ": ".join(filter(None, ("" if row.status == "ok" else row.status, row.note)))


def _terminal(report: Report) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(_title(report)), title_justify="left")
    shown = [c for c in COLUMNS if any(c.show(row) for row in report.rows)]
    for column in shown:
        table.add_column(column.title, justify="right" if column.right else "left")
    for row in report.rows:
        # Text, not str: names may hold what rich takes for markup.
        table.add_row(*(Text(column.show(row)) for column in shown))
    out = io.StringIO()
    # Nothing is cut off: a file or a narrow terminal wraps or scrolls.
    Console(file=out, width=max(80, 14 * len(shown) + 40)).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _title(report: Report) -> str:
    context = report.context
    versions = ", ".join(f"{name} {version}" for name, version in context.versions.items())
    return " · ".join(filter(None, (context.model, context.task, versions, context.created)))


def _csv(report: Report) -> str:
    """One line per row, in the report's own units; records are spread, samples left out."""
    lines = [_flat(row) for row in report.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV_FIELDS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


_SPREAD: Mapping[str, type[Any]] = {"parity": Parity, "latency": LatencyStats}
_CSV_FIELDS = tuple(
    name
    for f in fields(ReportRow)
    if f.name != "samples_ns"
    for name in (
        [f"{f.name}_{inner.name}" for inner in fields(_SPREAD[f.name])]
        if f.name in _SPREAD
        else [f.name]
    )
)


def _flat(row: ReportRow) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in encode(row).items():
        if name in _SPREAD:
            flat |= {f"{name}_{inner}": cell for inner, cell in (value or {}).items()}
        elif name != "samples_ns":
            flat[name] = value
    return flat


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": _terminal,
    "json": Report.to_json,
    "csv": _csv,
}


def _row_rule(row: ReportRow, fail: Fail) -> None:
    if row.status not in STATUSES:
        fail("status", f"expected one of {', '.join(STATUSES)}; got {row.status[:80]!r}")
    for name in ("threads", "batch", "seq", "size_bytes"):
        if getattr(row, name) < 0:
            fail(name, f"expected 0 or more, got {getattr(row, name)}")
    if min(row.samples_ns, default=0) < 0:
        fail("samples_ns", "expected no negative time")
    if row.throughput is not None and not 0 <= row.throughput < math.inf:
        fail("throughput", f"expected 0 or more, got {row.throughput}")
    if row.samples_ns and row.latency != LatencyStats.of(row.samples_ns):
        fail("latency", "is not that of the samples")


def _report_rule(report: Report, fail: Fail) -> None:
    if report.schema != SCHEMA:
        fail("schema", f"expected {SCHEMA}, got {report.schema}")


_RULES: Mapping[type, Rule] = {Report: _report_rule, ReportRow: _row_rule}
