"""Several reports as text: one after the other in the terminal, one below the other in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from edge_tx import report_text
from edge_tx.report import Report
from edge_tx.views.overview import together

__all__ = ["csv_lines", "terminal"]


def terminal(reports: Mapping[str, Report]) -> str:
    """A table for each."""
    return "\n".join(map(report_text.terminal, reports.values()))


def csv_lines(reports: Mapping[str, Report]) -> str:
    """A line for each row of all; the first column is the report's name if there are several."""
    text = report_text.csv_lines(together(reports))
    if len(reports) == 1:
        return text
    names = ["report", *(name for name, report in reports.items() for _ in report.rows)]
    out = io.StringIO()
    lines = csv.reader(io.StringIO(text))
    csv.writer(out, lineterminator="\n").writerows(
        [name, *line] for name, line in zip(names, lines, strict=True)
    )
    return out.getvalue()
