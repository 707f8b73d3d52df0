"""Reports as Markdown, for a pull request or a page of documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from edge_tx.report import Report
from edge_tx.report_text import note_of
from edge_tx.views.cells import Cell, cells_of
from edge_tx.views.facts import about, remarks_of
from edge_tx.views.overview import Shown, shown_columns

__all__ = ["markdown", "several"]

# What is in a table of its own below, or would make it too wide to read.
_ELSEWHERE = frozenset({"note", "status", "cosine", "mean ms", "steady MB", "private MB"})
# Signs that mean something anywhere, at the start of a line, and in what becomes a link.
_SIGNS = re.compile(r"[\\`*_\[\]<>|~&@#$]|^[+=-]|^\d{1,9}(?=[.)])|:(?=//)|(?<=www)\.")


def markdown(report: Report) -> str:
    """One report as Markdown."""
    return several({"report": report})


def several(reports: Mapping[str, Report]) -> str:
    """Several reports as Markdown.

    Args:
        reports: By their names, e.g. of their files.
    """
    cells = cells_of(reports)
    parts = (
        [escaped(about(name, report, len(reports) > 1)) for name, report in reports.items()],
        [f"- {escaped(text)}" for report in reports.values() for _, text in remarks_of(report)],
        list(_table(shown_columns(reports), [cell for cell in cells if cell.row.status == "ok"])),
        list(_troubles(cells)),
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _table(columns: Sequence[Shown], cells: Sequence[Cell]) -> Iterator[str]:
    kept = [column for column in columns if column.title not in _ELSEWHERE]
    kept = [column for column in kept if any(map(column.show, cells))]
    if not kept:
        return
    yield _line(column.title for column in kept)
    yield "|" + "|".join("---:" if c.kind == "number" else "---" for c in kept) + "|"
    for cell in cells:
        yield _line(column.show(cell) for column in kept)


def _line(texts: Iterator[str]) -> str:
    return "| " + " | ".join(map(escaped, texts)) + " |"


def _troubles(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        told = note_of(cell.row) or cell.row.note
        if told or cell.row.status != "ok":
            yield f"- {escaped(f'{cell.name}, {cell.place.text}: {told or cell.row.status}')}"


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _SIGNS.sub(_sign, " ".join(text.split()))


def _sign(found: re.Match[str]) -> str:
    if found[0].isdigit():  # the sign behind it would begin a list
        return f"{found[0]}\\"
    # Named characters where a backslash would still let a page make a tag or a mention of it.
    return {"<": "&lt;", "@": "&#64;"}.get(found[0], f"\\{found[0]}")
