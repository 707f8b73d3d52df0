"""The looks of a report, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from edge_tx.backends import resolve
from edge_tx.errors import UnknownName

if TYPE_CHECKING:
    from edge_tx.report import Report

__all__ = ["FORMATS", "SUFFIXES", "render"]

# Name -> "module:function", a function of the report that gives text.
FORMATS: Mapping[str, str] = {
    "terminal": "edge_tx.report_text:terminal",
    "json": "edge_tx.report_text:json_text",
    "csv": "edge_tx.report_text:csv_lines",
}

# Ends of a file's name -> format.
SUFFIXES: Mapping[str, str] = {
    ".json": "json",
    ".csv": "csv",
    ".txt": "terminal",
}


def render(report: Report, format: str = "terminal") -> str:  # noqa: A002
    """Renders a report.

    Args:
        report: The report.
        format: One of :data:`FORMATS`.

    Raises:
        UnknownName: There is no such format.
    """
    if format not in FORMATS:
        raise UnknownName("report format", format, FORMATS)
    return cast(Callable[["Report"], str], resolve(FORMATS[format]))(report)
