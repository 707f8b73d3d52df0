"""Reports for people, one or several at once: an HTML file that works offline, Markdown, text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from edge_tx import report_formats
from edge_tx.backends import resolve
from edge_tx.errors import UnknownName
from edge_tx.report_formats import Format

if TYPE_CHECKING:
    from edge_tx.report import Report

__all__ = ["FORMATS", "SUFFIXES", "render"]

FORMATS: Mapping[str, Format] = {
    name: row for name, row in report_formats.FORMATS.items() if row.several
}
"""The looks of several reports together."""

SUFFIXES: Mapping[str, str] = {
    suffix: name for suffix, name in report_formats.SUFFIXES.items() if name in FORMATS
}
"""Ends of a file's name -> name of the format."""


def render(reports: Mapping[str, Report], format: str = "html") -> str:  # noqa: A002
    """Renders reports together.

    Args:
        reports: One or more, by their names, e.g. of their files. A name is shown only where
            it tells rows apart.
        format: One of :data:`FORMATS`.

    Raises:
        UnknownName: There is no such format.
    """
    if format not in FORMATS:
        raise UnknownName("report format", format, FORMATS)
    return cast(Callable[[Mapping[str, "Report"]], str], resolve(FORMATS[format].several))(reports)
