"""The looks of reports: one table for a single report and for several together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from edge_tx.backends import resolve
from edge_tx.errors import UnknownName

if TYPE_CHECKING:
    from edge_tx.report import Report

__all__ = ["FORMATS", "SUFFIXES", "Format", "render"]


@dataclass(frozen=True, slots=True)
class Format:
    """A look.

    Attributes:
        name: What users write: ``--format markdown``.
        suffixes: Ends of a file's name that mean it.
        one: ``"module:function"`` of a report that gives text.
        several: The same of reports by name; empty where they do not go together.
    """

    name: str
    suffixes: tuple[str, ...]
    one: str
    several: str = ""


_ROWS = (
    Format("html", (".html", ".htm"), "edge_tx.views.page:page", "edge_tx.views.page:pages"),
    Format("json", (".json",), "edge_tx.report_text:json_text"),
    Format(
        "markdown",
        (".md",),
        "edge_tx.views.markdown:markdown",
        "edge_tx.views.markdown:several",
    ),
    Format("csv", (".csv",), "edge_tx.report_text:csv_lines", "edge_tx.views.text:csv_lines"),
    Format("terminal", (".txt",), "edge_tx.report_text:terminal", "edge_tx.views.text:terminal"),
)

FORMATS: Mapping[str, Format] = {row.name: row for row in _ROWS}

SUFFIXES: Mapping[str, str] = {suffix: row.name for row in _ROWS for suffix in row.suffixes}
"""Ends of a file's name -> name of the format."""


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
    return cast(Callable[["Report"], str], resolve(FORMATS[format].one))(report)
