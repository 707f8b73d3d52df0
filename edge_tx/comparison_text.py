"""A comparison of reports as lines of a table, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Callable

from edge_tx.comparison import CellVerdict, Comparison
from edge_tx.report import ReportRow
from edge_tx.views.markdown import escaped

__all__ = ["HEADS", "cells", "headline", "markdown"]

HEADS = ("cell", "verdict", "p50 before", "p50 after", "ratio", "95 %", "peak", "accuracy")


def headline(comparison: Comparison) -> str:
    """The outcome in one line."""
    counts: dict[str, int] = {}
    for cell in comparison.cells:
        counts[cell.verdict] = counts.get(cell.verdict, 0) + 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    bad = len(comparison.regressions)
    outcome = f"{bad} regression{'s' if bad != 1 else ''}" if bad else "no regression"
    return (
        f"{outcome} over {comparison.max_regression:.1%}: {told} "
        f"(within {comparison.margin:.1%} is noise)"
    )


def cells(cell: CellVerdict) -> tuple[str, ...]:
    """The cells of a line, under :data:`HEADS`."""
    return (
        cell.label,
        f"{cell.verdict} !" if cell.regression else cell.verdict,
        _milliseconds(cell.before),
        _milliseconds(cell.after),
        "" if cell.ratio is None else f"{cell.ratio:.3f}",
        "" if cell.low is None or cell.high is None else f"{cell.low:.3f} to {cell.high:.3f}",
        _change(cell, _peak),
        _scores(cell),
    )


def markdown(comparison: Comparison) -> str:
    """For a pull request."""
    lines = [
        f"**{headline(comparison)}**",
        "",
        _line(HEADS),
        _line(["---" if name in ("cell", "verdict") else "---:" for name in HEADS]),
    ]
    for cell in comparison.cells:
        shown = cells(cell)
        safe = map(escaped, shown)
        lines.append(_line([f"**{text}**" if cell.regression and text else text for text in safe]))
    lines += [f"\n> {escaped(remark)}" for remark in comparison.remarks]
    notes = [cell for cell in comparison.cells if cell.verdict == "broken" and cell.after]
    lines += [
        f"\n- {escaped(cell.label)}: {escaped(cell.after.note)}" for cell in notes if cell.after
    ]
    return "\n".join(lines) + "\n"


def _line(parts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(parts)} |"


def _milliseconds(row: ReportRow | None) -> str:
    return f"{row.typical_ns / 1e6:.2f} ms" if row and row.typical_ns is not None else ""


def _peak(row: ReportRow) -> float | None:
    return row.memory.peak_bytes if row.memory else None


def _change(cell: CellVerdict, pick: Callable[[ReportRow], float | None]) -> str:
    if cell.before is None or cell.after is None:
        return ""
    before, after = pick(cell.before), pick(cell.after)
    return f"{after / before - 1:+.1%}" if before and after else ""


def _scores(cell: CellVerdict) -> str:
    if cell.before is None or cell.after is None:
        return ""
    old, new = cell.before.accuracy, cell.after.accuracy
    return ", ".join(f"{name} {new[name] - old[name]:+.4f}" for name in new if name in old)
