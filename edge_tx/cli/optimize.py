"""``edge-tx optimize``: prune, distil, export, quantise and measure; keep the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.options import (
    checkpoint_options,
    data_option,
    dev_option,
    samples_option,
    seed_option,
    threads_option,
)
from edge_tx.cli.screen import Screen, facts, grid, human_bytes, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.optimizing.front import Place, Point
    from edge_tx.optimizing.outcome import Optimized

_TARGETS = ("latency", "size", "memory")


@dataclass(frozen=True, slots=True)
class _Mark:
    """How a verdict looks in the table, and what the line below says of it."""

    sign: str
    style: str
    about: str


_MARKS = {
    "best": _Mark("★", "bold green", "best"),
    "front": _Mark("●", "green", "on the front"),
    "dominated": _Mark("○", "", "dominated, by which"),
    "over budget": _Mark("✗", "red", "over the budget"),
    "failed": _Mark("!", "red", "failed"),
}


@click.command("optimize")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The new bundle.")
@data_option()
@dev_option("by default a quarter of --data that is used for nothing else")
@click.option(
    "--metric",
    default="",
    help="What may not fall; by default the task's own where the rows have labels, else likeness.",
)
@click.option(
    "--max-drop",
    type=float,
    default=0.01,
    show_default=True,
    help="Most that it may fall below the whole model's; 0.01 is a point.",
)
@click.option(
    "--target",
    type=click.Choice(_TARGETS),
    default=_TARGETS[0],
    show_default=True,
    help="What the best one is best at.",
)
@click.option(
    "--to",
    "names",
    multiple=True,
    shell_complete=backend_names,
    help="Backends, with commas; by default all that can export and run on this CPU.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    help="How to quantise (edge-tx recipes), or none; by default what suits the target.",
)
@click.option(
    "--levels",
    help="Shares of the operations that pruning leaves, or none.  [default: 0.8,0.65,0.5,0.4]",
)
@click.option("--recover", type=float, help="Minutes of distillation for each pruned model.")
@click.option("--minutes", type=float, help="Most time to spend, all runs together.")
@click.option(
    "--work",
    type=click.Path(),
    help="Folder for finished steps, which is then kept; by default one beside the output.",
)
@samples_option(2048)
@seed_option
@threads_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    help="Time to spend on short texts, on long ones, and on lists, in each of two turns.",
)
@checkpoint_options
@output_options
def command(
    model: str,
    output: str,
    data: str,
    dev: str | None,
    metric: str,
    max_drop: float,
    target: str,
    names: tuple[str, ...],
    recipes: tuple[str, ...],
    levels: str | None,
    recover: float | None,
    minutes: float | None,
    work: str | None,
    samples: int,
    seed: int,
    threads: int | None,
    seconds: float,
    task: str | None,
    revision: str | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Find the best form of a model for this device, and write it.

    Walks backends, precisions and pruning, measures every graph here, and keeps the fastest or
    smallest one whose metric holds. Stopped or killed, the same command goes on after the last
    finished step.
    """
    from edge_tx.optimizing.flow import optimize
    from edge_tx.optimizing.plan import LEVELS

    try:
        with screen.walk() as progress:
            done = optimize(
                model,
                output,
                data=data,
                dev=dev,
                metric=metric,
                max_drop=max_drop,
                target=target,
                to=[name.strip() for text in names for name in text.split(",")],
                recipes=_recipes(recipes),
                levels=LEVELS if levels is None else _levels(levels),
                recover=recover,
                minutes=minutes,
                work=work,
                samples=samples,
                seed=seed,
                threads=threads,
                seconds=seconds,
                task=task,
                revision=revision,
                options=reading.options(pairs),
                progress=progress,
            )
    except KeyboardInterrupt:
        screen.remark("finished steps are kept: the same command goes on after them")
        raise
    screen.result(done.to_dict(), *_rendered(done))


def _recipes(given: tuple[str, ...]) -> tuple[str, ...] | None:
    return () if given == ("none",) else given or None


def _levels(text: str) -> tuple[float, ...]:
    if text == "none":
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as exc:
        raise InvalidConfig(f"--levels are shares with commas, e.g. 0.8,0.6; not '{text}'") from exc


def _rendered(done: Optimized) -> list[RenderableType]:
    places = done.front.places
    tried = [place for place in places if place.point.tried]
    numbers = {place.point.name: number for number, place in enumerate(tried, 1)}
    remarks = {str(numbers[p.point.name]): p.why for p in tried if _is_long(p)}
    parts: list[RenderableType] = [_table(done, tried, numbers), "", _legend(tried), ""]
    blocks: tuple[Mapping[str, object], ...] = (remarks, _left_out(places))
    for lines in blocks:
        parts += [facts(lines), ""] if any(lines.values()) else []
    return [*parts, facts(_facts(done))]


# Cost, heading and digits; megabytes at the peak only where they were asked for: 80 columns.
_COSTS = (("latency", "ms", 2), ("size", "MB", 1), ("memory", "peak", 0))


def _table(done: Optimized, places: Sequence[Place], numbers: Mapping[str, int]) -> RenderableType:
    shown = [cost for cost in _COSTS if cost[0] != "memory" or done.aim.name == "memory"]
    figures = (done.metric, "change", *(heading for _, heading, _ in shown))
    rows = [_row(place, numbers, shown) for place in places]
    table = grid(("", "graph", *figures), rows, right=figures)
    for column in table.columns:
        column.no_wrap = True
    return table


def _row(
    place: Place, numbers: Mapping[str, int], shown: Sequence[tuple[str, str, int]]
) -> tuple[object, ...]:
    from rich.text import Text

    point, mark = place.point, _MARKS[place.verdict]
    by = f" {numbers[place.by.name]}" if place.by else ""
    cells = (
        f"{numbers[point.name]:2} {mark.sign}{by}",
        point.name,
        "" if point.score is None else f"{point.score:.4f}",
        "" if point.drop is None else _change(point.drop),
        *(_cost(point, name, digits) for name, _, digits in shown),
    )
    return tuple(Text(cell, style=mark.style) for cell in cells)


def _change(drop: float) -> str:
    return f"{round(-drop, 4) + 0.0:+.4f}"  # adding zero: there is no -0.0000


def _cost(point: Point, name: str, digits: int) -> str:
    value = point.costs.get(name)
    return "" if value is None else f"{value / 1e6:,.{digits}f}"


def _legend(places: Sequence[Place]) -> RenderableType:
    from rich.text import Text

    found = {place.verdict for place in places}
    marks = [mark for verdict, mark in _MARKS.items() if verdict in found]
    return Text("   ".join(f"{mark.sign} {mark.about}" for mark in marks), style="dim")


def _is_long(place: Place) -> bool:
    """Whether a point's reason stands below the table."""
    return bool(place.point.problem)


def _left_out(places: Sequence[Place]) -> dict[str, object]:
    """Names of what was not tried, by the reason."""
    found: dict[str, list[str]] = {}
    for place in places:
        if not place.point.tried:
            found.setdefault(place.why, []).append(place.point.name)
    return {"not tried": "\n".join(f"{', '.join(names)}: {why}" for why, names in found.items())}


def _facts(done: Optimized) -> dict[str, object]:
    best = done.best
    score = f"{best.score:.4f} ({_change(best.drop or 0.0)}; it may fall by {done.max_drop:g})"
    return {
        "best": best.name,
        done.aim.name: f"{done.aim.show(best.costs[done.aim.name])}, {done.gain:.2f} times "
        f"{done.aim.better} as {done.whole.name}",
        done.metric: score,
        "size": human_bytes(best.costs["size"]),
        "took": f"{done.seconds / 60:.1f} minutes",
        "written": done.output,
        "the front": done.record,
    }
