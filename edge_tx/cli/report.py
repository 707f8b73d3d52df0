"""``edge-tx report``: reports of ``edge-tx bench`` for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from edge_tx import views
from edge_tx.errors import InvalidConfig


@click.command("report")
@click.argument("reports", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), help="File to write; by default it goes to stdout."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(views.FORMATS)),
    help="By default what the output's name ends in, and a table in the terminal.",
)
def command(reports: Sequence[str], output: str | None, form: str | None) -> None:
    """Show reports of `edge-tx bench --json`, several side by side.

    HTML is one file with charts that works offline; Markdown is for a pull request.
    """
    from edge_tx.report import Report

    form = form or _format_of(output)
    named = zip(_names(reports), reports, strict=True)
    text = views.render({name: Report.from_file(path) for name, path in named}, form)
    if output is None:
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")


def _format_of(output: str | None) -> str:
    if output is None:
        return "terminal"
    suffix = Path(output).suffix.lower()
    if suffix not in views.SUFFIXES:
        known = ", ".join(views.SUFFIXES)
        raise InvalidConfig(f"{output}: its name ends in none of {known}: say which with --format")
    return views.SUFFIXES[suffix]


def _names(paths: Sequence[str]) -> list[str]:
    """Names of files without their endings; the whole path where two are the same."""
    stems = Counter(Path(path).stem for path in paths)
    names = [Path(p).stem if stems[Path(p).stem] == 1 else p for p in paths]
    numbers = Counter(names)
    return [n if numbers[n] == 1 else f"{n} ({i})" for i, n in enumerate(names, 1)]
