"""``edge-tx tune``: which graph is best on this device, measured and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.opening import accuracy_option
from edge_tx.cli.options import pairs_option, threads_option
from edge_tx.cli.screen import Screen, facts, grid, output_options
from edge_tx.errors import SessionFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.bench.tuning import Tuned
    from edge_tx.tuning import Measurement

_COLUMNS = ("graph", "short ms", "long ms", "per second", "peak MB", "load ms")
_GOALS = ("latency", "throughput", "memory")


@click.command("tune")
@click.argument("bundle", type=click.Path())
@click.option(
    "--goal",
    type=click.Choice(_GOALS),
    default=_GOALS[0],
    show_default=True,
    help="What the best graph is best at.",
)
@click.option("--device", default="auto", show_default=True, help="Device to run on.")
@threads_option
@accuracy_option
@click.option(
    "--file", "path", type=click.Path(), help="Inputs, one a line; by default the golden ones."
)
@pairs_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Time to spend on short texts, on long ones, and on lists, in each of two turns.",
)
@output_options
def command(
    bundle: str,
    goal: str,
    device: str,
    threads: int | None,
    min_accuracy: float | None,
    path: str | None,
    pairs: tuple[str, ...],
    seconds: float,
    screen: Screen,
) -> None:
    """Find the best graph for this device, and remember it.

    Every graph that can run here is measured in fresh processes with the same threads and
    texts. From then on --backend auto, the default of the other verbs, takes the best one.
    """
    from edge_tx.bench.tuning import tune

    with screen.stages() as progress:
        tuned = tune(
            bundle,
            goal,
            device=device,
            threads=threads,
            min_accuracy=min_accuracy,
            inputs=reading.to_measure(path),
            options=reading.options(pairs),
            seconds=seconds,
            progress=lambda name, *steps: progress(f"measuring {name}", *steps),
        )
    screen.result(tuned.to_dict(), *_rendered(tuned))
    if not tuned.graph:
        first = tuned.tuning.graphs[0]
        raise SessionFailed(f"no graph can run here; {first.graph}: {first.problem}")


def _rendered(tuned: Tuned) -> list[RenderableType]:
    graphs = tuned.tuning.graphs
    table = grid(_COLUMNS, [_row(m) for m in graphs if not m.problem], right=_COLUMNS[1:])
    verdicts = {c.graph: c.verdict for c in tuned.candidates}
    verdicts |= {m.graph: m.problem for m in graphs if m.problem}
    about = {"chosen": tuned.graph, "because": tuned.reason, "remembered in": tuned.path}
    return [table, "", facts(about), "", facts(verdicts)]


def _row(measured: Measurement) -> tuple[object, ...]:
    def scaled(value: float | None, unit: float, digits: int) -> str:
        return "" if value is None else f"{value / unit:,.{digits}f}"

    return (
        measured.graph,
        scaled(measured.short_ns, 1e6, 2),
        scaled(measured.long_ns, 1e6, 2),
        scaled(measured.per_second, 1, 0),
        scaled(measured.peak_rss_bytes, 1e6, 0),
        scaled(measured.load_ns, 1e6, 0),
    )
