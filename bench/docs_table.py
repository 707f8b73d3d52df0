"""Writes a report's numbers into a document: ``python -m edge_tx.bench.docs_table REPORT FILE``.

They stand between two comments of the document, and are written anew each time: nobody copies
numbers by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_tx.errors import InvalidConfig
from edge_tx.report import Report, ReportRow, count_of

__all__ = ["BEGIN", "END", "main", "render", "replaced"]

BEGIN = "<!-- made by make bench-docs: from here -->"
END = "<!-- made by make bench-docs: to here -->"


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    show: Callable[[ReportRow], str]


def _scaled(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


_COLUMNS = (
    _Column("", lambda row: row.graph),
    _Column("load ms", lambda row: _scaled(row.load_ns, 1e6, 0)),
    _Column("first ms", lambda row: _scaled(row.first_answer_ns, 1e6, 1)),
    _Column("p50 ms", lambda row: _scaled(row.typical_ns, 1e6, 2)),
    _Column("p99 ms", lambda row: _scaled(getattr(row.latency, "p99_ns", None), 1e6, 2)),
    _Column("CPU ms", lambda row: _scaled(row.cpu_ns_per_answer, 1e6, 2)),
    _Column("per second", lambda row: _scaled(row.list_throughput, 1, 0)),
    _Column("peak MB", lambda row: _scaled(getattr(row.memory, "peak_bytes", None), 1e6, 0)),
    _Column(
        "quiet",
        lambda row: "" if row.undisturbed is None else f"{row.undisturbed:.0%}",
    ),
)


def render(report: Report) -> str:
    """Two tables in Markdown: single texts as they come, and times over batches and lengths.

    Raises:
        InvalidConfig: The report has no row of single texts of mixed lengths that ran.
    """
    ran = [row for row in report.rows if row.status == "ok"]
    single = [row for row in ran if (row.batch, row.seq) == (1, 0)]
    if not single:
        raise InvalidConfig("the report has no row of single texts of mixed lengths")
    parts = [
        _about(report, single[0]),
        _table([column.title for column in _COLUMNS], _lines(single)),
        "p50 in ms of a call, by inputs of a call and tokens of an input:",
        _over(ran),
        *_said(report),
    ]
    return "\n\n".join(parts)


def _about(report: Report, row: ReportRow) -> str:
    context = report.context
    models = ", ".join(model.name for model in context.models)
    versions = ", ".join(f"{name} {number}" for name, number in context.versions.items())
    cpu = str(context.device.get("cpu", {}).get("model", ""))
    threads = count_of(row.threads, "thread")
    return f"{models} on {cpu}, {threads}, {context.created[:10]}; {versions}."


def _lines(rows: Sequence[ReportRow]) -> Iterator[list[str]]:
    for row in rows:
        yield [column.show(row) for column in _COLUMNS]


def _over(rows: Sequence[ReportRow]) -> str:
    places = list(dict.fromkeys((row.batch, row.seq) for row in rows))
    graphs = list(dict.fromkeys(row.graph for row in rows))
    found = {(row.graph, row.batch, row.seq): row for row in rows}
    heads = ["", *(f"{batch} × {seq or 'mixed'}" for batch, seq in places)]
    return _table(
        heads,
        (
            [graph, *(_p50(found.get((graph, batch, seq))) for batch, seq in places)]
            for graph in graphs
        ),
    )


def _p50(row: ReportRow | None) -> str:
    return "" if row is None else _scaled(row.typical_ns, 1e6, 2)


def _said(report: Report) -> Iterator[str]:
    if report.context.noise is not None:
        yield f"{report.context.noise.said[:1].upper()}{report.context.noise.said[1:]}."


def _table(heads: Sequence[str], lines: Iterator[list[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(_line(cells) for cells in (list(heads), rule, *lines))


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def replaced(document: str, block: str) -> str:
    """The document with another block between its two comments.

    Raises:
        InvalidConfig: It has not both of them, in this order.
    """
    before, begin, rest = document.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidConfig(f"the document has no '{BEGIN}' with '{END}' after it")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the tables of a report's JSON file into a document."""
    report, document = sys.argv[1:] if arguments is None else arguments
    path = Path(document)
    block = render(Report.from_file(report))
    path.write_text(replaced(path.read_text(encoding="utf-8"), block), encoding="utf-8")


if __name__ == "__main__":
    main()
