"""``edge-tx compare``: what became slower between two reports, and whether that is noise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from edge_tx.cli.screen import Screen, facts, grid, output_options
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from rich.console import RenderableType

_LIMIT = re.compile(r"(\d+(?:\.\d+)?)(%?)")


@click.command("compare")
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@click.option(
    "--max-regression",
    default="5%",
    show_default=True,
    metavar="SHARE",
    help="How much slower a cell's p50 may be, e.g. 5% or 0.05.",
)
@click.option(
    "--format",
    "look",
    type=click.Choice(["terminal", "markdown"]),
    default="terminal",
    show_default=True,
    help="Markdown is for a pull request.",
)
@output_options
def command(before: str, after: str, max_regression: str, look: str, screen: Screen) -> int:
    """Hold a report of bench against an earlier one.

    BEFORE and AFTER are reports' JSON files (bench -o FILE.json). Each cell gets a verdict: what
    is within the noise that both reports measured is the same. Exits with 1 if a cell is slower
    by more than --max-regression, or ran before and no longer does.
    """
    from edge_tx import comparison_text as text
    from edge_tx.comparison import compare
    from edge_tx.report import Report

    limit = _share(max_regression)
    found = compare(Report.from_file(before), Report.from_file(after), limit)
    if look == "markdown" and not screen.json:
        click.echo(text.markdown(found), nl=False)
        return 1 if found.regressions else 0
    lines = [(cell.label, _sentence(text.cells(cell))) for cell in found.cells]
    shown = grid(("cell", "verdict"), lines)
    broken = {c.label: c.after.note for c in found.cells if c.verdict == "broken" and c.after}
    parts: list[RenderableType] = [text.headline(found), "", shown]
    parts += ["", facts(broken)] if broken else []
    parts += [part for remark in found.remarks for part in ("", remark)]
    screen.result(found.to_dict(), *parts)
    return 1 if found.regressions else 0


def _sentence(cells: tuple[str, ...]) -> str:
    """A cell's numbers in two lines, which fit beside its name in 80 columns."""
    _label, verdict, before, after, ratio, interval, peak, accuracy = cells
    if not ratio:
        return verdict
    more = ", ".join(filter(None, (f"peak {peak}" if peak else "", accuracy)))
    first = f"{verdict}: {before} to {after}"
    return "\n".join(filter(None, (first, f"x{ratio} ({interval})", more)))


def _share(text: str) -> float:
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise InvalidConfig(f"--max-regression: '{text[:40]}' is no share; write 5% or 0.05")
    return float(match[1]) / (100 if match[2] else 1)
