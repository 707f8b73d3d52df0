"""``edge-tx report``: reports of ``edge-tx bench`` for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_tx import views
from edge_tx.cli.screen import Screen, output_options
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.report import Report


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
@click.option(
    "--pruned",
    multiple=True,
    type=click.Path(),
    help="Add a map of what `edge-tx prune --json` kept, to HTML; several times for more.",
)
@output_options
def command(
    reports: Sequence[str],
    output: str | None,
    form: str | None,
    pruned: Sequence[str],
    screen: Screen,
) -> None:
    """Show reports of `edge-tx bench --json`, several side by side.

    HTML is one file with charts that works offline; Markdown is for a pull request. With --json
    the reports go to stdout as they are, by their names.
    """
    from edge_tx.report import Report

    form = form or _format_of(output)
    held = {name: Report.from_file(path) for name, path in _named(reports)}
    text = _with_maps(held, form, pruned) if pruned else views.render(held, form)
    if output is not None:
        Path(output).write_text(text, encoding="utf-8")
    if screen.json:
        click.echo(json.dumps({name: json.loads(held[name].to_json()) for name in held}, indent=2))
    elif output is None:
        click.echo(text, nl=False)


def _with_maps(reports: Mapping[str, Report], form: str, paths: Sequence[str]) -> str:
    if form != "html":
        raise InvalidConfig(f"--pruned draws a map, which {form} has no place for: use html")
    from edge_tx.views import page, pruning

    return page.pages(reports, {name: pruning.read(path) for name, path in _named(paths)})


def _format_of(output: str | None) -> str:
    if output is None:
        return "terminal"
    suffix = Path(output).suffix.lower()
    if suffix not in views.SUFFIXES:
        known = ", ".join(views.SUFFIXES)
        raise InvalidConfig(f"{output}: its name ends in none of {known}: say which with --format")
    return views.SUFFIXES[suffix]


def _named(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Files by their names without endings; the whole path where two are the same."""
    stems = Counter(Path(path).stem for path in paths)
    names = [Path(p).stem if stems[Path(p).stem] == 1 else p for p in paths]
    numbers = Counter(names)
    unique = [n if numbers[n] == 1 else f"{n} ({i})" for i, n in enumerate(names, 1)]
    return list(zip(unique, paths, strict=True))
