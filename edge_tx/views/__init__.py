"""Reports for people, one or several at once: an HTML file that works offline, Markdown, text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from edge_tx.backends import resolve
from edge_tx.errors import UnknownName

if TYPE_CHECKING:
    from edge_tx.report import Report

__all__ = ["FORMATS", "SUFFIXES", "render"]

# Name -> "module:function", a function of reports by name that gives text.
FORMATS: Mapping[str, str] = {
    "terminal": "edge_tx.views.text:terminal",
    "markdown": "edge_tx.views.markdown:several",
    "csv": "edge_tx.views.text:csv_lines",
    "html": "edge_tx.views.page:pages",
}

# Ends of a file's name -> format.
SUFFIXES: Mapping[str, str] = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".csv": "csv",
    ".txt": "terminal",
}


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
    return cast(Callable[[Mapping[str, "Report"]], str], resolve(FORMATS[format]))(reports)
