"""``edge-tx run``: answers texts."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli import reading, rendering
from edge_tx.cli.opening import model_options
from edge_tx.cli.options import pairs_option
from edge_tx.cli.screen import Screen, output_options
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.runtimes.model import Model


@click.command("run")
@click.argument("bundle", type=click.Path())
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", "path", type=click.Path(), help="Read one input a line; - is stdin.")
@click.option(
    "--input-format",
    "kind",
    type=click.Choice(list(reading.FORMATS)),
    default="auto",
    show_default=True,
    help="auto: an input that is a JSON object or list is read as such, all else is text.",
)
@click.option("--query", help="Pair every input with this: the question, the search query.")
@pairs_option
@model_options
@output_options
def command(
    bundle: str,
    texts: tuple[str, ...],
    path: str | None,
    kind: str,
    query: str | None,
    pairs: tuple[str, ...],
    opening: Mapping[str, Any],
    screen: Screen,
) -> None:
    """Answer texts from the arguments, a file or stdin.

    A pair is a JSON list or object, or a text beside --query. With --json every answer is one
    line of JSON, in the order of the inputs.
    """
    inputs = _inputs(texts, path, kind, screen)
    if query is not None:
        inputs = _beside(query, inputs)
    options = reading.options(pairs)
    from edge_tx.runtimes.loading import load

    with load(bundle, **opening) as model:
        if query is not None and model.task == "text-ranking":
            _rank(model, list(inputs), options, screen)
        else:
            live = not texts and path is None and sys.stdin.isatty()
            _answer(model, inputs, options, screen, live=live)


def _inputs(texts: Sequence[str], path: str | None, kind: str, screen: Screen) -> Iterator[Any]:
    if texts and path is not None:
        raise InvalidConfig("texts as arguments and --file exclude each other: give one of them")
    if texts:
        return reading.from_arguments(texts, kind)
    if path is None and sys.stdin.isatty():
        screen.remark("reading one text a line; Ctrl-D ends")
    return reading.from_path(path or "-", kind)


def _beside(query: str, inputs: Iterator[Any]) -> Iterator[Any]:
    for value in inputs:
        if not isinstance(value, str):
            raise InvalidConfig("--query goes with plain texts: the inputs are pairs already")
        yield query, value


def _answer(
    model: Model, inputs: Iterator[Any], options: dict[str, Any], screen: Screen, *, live: bool
) -> None:
    """Streams: a list is never held, and somebody at a terminal is answered line by line."""
    waiting: deque[Any] = deque()

    def remembered() -> Iterator[Any]:
        for value in inputs:
            waiting.append(value)
            yield value

    results = (
        (model(value, **options) for value in remembered())
        if live
        else model(remembered(), **options)
    )
    lines = rendering.Lines(model.task)
    for result in results:
        value = waiting.popleft()
        if screen.json:
            click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
        else:
            click.echo(lines.of(value, result))
    if not screen.json and (end := lines.end()):
        click.echo(end)


def _rank(model: Model, pairs: Sequence[Any], options: dict[str, Any], screen: Screen) -> None:
    """The documents of one query, the best first."""
    query = pairs[0][0] if pairs else ""
    for place in model.rank(query, [document for _, document in pairs], **options):
        if screen.json:
            click.echo(json.dumps(place.to_dict(), ensure_ascii=False))
        else:
            click.echo(f"{place.score:8.4f}  {rendering.shortened(pairs[place.index][1], 66)}")
