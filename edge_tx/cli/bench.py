"""``edge-tx bench``: load time, latency, throughput and memory on this device."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.opening import accuracy_option, nothing_runs, vendor_options
from edge_tx.cli.remoting import Elsewhere, remote_options
from edge_tx.cli.screen import Screen, facts, grid, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import AccuracyGateFailed, RemoteFailed, SessionFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.bench.runner import Plan
    from edge_tx.report import Report, ReportRow


# The same for all rows, or told elsewhere, so that a row fits 80 columns; --json has them.
_LEFT_OUT = ("threads", "batch", "seq", "cosine", "p90 ms", "note")


@click.command("bench")
@click.argument("bundle", type=click.Path())
@click.option("--graph", "graphs", multiple=True, help="Only this graph; several times for more.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=backend_names,
    help="Only graphs of this backend; auto is every backend.",
)
@click.option("--device", default="auto", show_default=True, help="Device to run on.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads; by default the cores this process may use.",
)
@accuracy_option
@click.option(
    "--file", "path", type=click.Path(), help="Inputs, one a line; by default the golden ones."
)
@click.option(
    "--option",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the task, e.g. top_k=3. May be given several times.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Time to spend on single calls, and again on lists.",
)
@vendor_options
@output_options
@remote_options()
def command(
    bundle: str,
    graphs: tuple[str, ...],
    backend: str,
    device: str,
    threads: int | None,
    min_accuracy: float | None,
    path: str | None,
    pairs: tuple[str, ...],
    seconds: float,
    vendor: Mapping[str, str],
    screen: Screen,
    elsewhere: Elsewhere | None,
) -> None:
    """Measure load time, latency, throughput and memory here.

    Every graph is measured in a fresh process: the first answer cold, then the first input
    again and again, then all of them as a list. With --json every sample is kept.
    """
    if elsewhere is not None:
        return _from_elsewhere(elsewhere, screen)
    from edge_tx.bench.runner import Plan, run

    plan = Plan(
        graphs=graphs,
        backend=backend,
        device=device,
        threads=threads,
        inputs=tuple(reading.from_path(path, "auto")) if path else (),
        options=tuple(reading.options(pairs).items()),
        vendor=tuple(vendor.items()),
        seconds=seconds,
        min_accuracy=min_accuracy,
    )
    with screen.stages() as progress:
        report = run(bundle, plan, lambda name, *steps: progress(f"measuring {name}", *steps))
    screen.result(json.loads(report.to_json()), *_rendered(report))
    _raise_if_bad(bundle, plan, report.rows)


def _from_elsewhere(elsewhere: Elsewhere, screen: Screen) -> None:
    from edge_tx.report import Report

    with screen.stages() as progress:
        answer = elsewhere.measure(progress)
    report = Report.from_json(answer.report)
    screen.result(json.loads(report.to_json()), *_rendered(report))
    if answer.problem:
        raise RemoteFailed(f"{elsewhere.remote.ssh.host}: {answer.problem}")


def _rendered(report: Report) -> list[RenderableType]:
    """A line for each graph; what is the same for all of them stands above."""
    from edge_tx.report import COLUMNS

    context, ran = report.context, [row for row in report.rows if row.status == "ok"]
    shown = [c for c in COLUMNS if c.title not in _LEFT_OUT and any(map(c.show, ran))]
    about = {
        "model": f"{context.model} ({context.task})",
        "device": context.device["cpu"]["model"],
        "threads": context.settings["threads"],
        "versions": ", ".join(f"{name} {number}" for name, number in context.versions.items()),
    }
    # Numbers are narrow and their heads are not: two lines of head fit 80 columns.
    heads = [column.title.replace(" ", "\n") for column in shown]
    lines = [[column.show(row) for column in shown] for row in ran]
    notes = {row.graph: row.note for row in report.rows if row.note}
    parts: list[RenderableType] = [facts(about)]
    if ran:
        parts += ["", grid(heads, lines, right=heads[1:])]
    if notes:
        parts += ["", facts(notes)]
    return parts


def _raise_if_bad(bundle: str, plan: Plan, rows: Sequence[ReportRow]) -> None:
    for row in rows:
        if row.status == "failed":
            raise SessionFailed(f"measuring {row.graph} failed: {row.note}")
    if rows and all(row.status == "skipped" for row in rows):
        if any(row.note.startswith("accuracy") for row in rows):
            raise AccuracyGateFailed(f"no graph will do: {rows[0].graph}: {rows[0].note}")
        from edge_tx.bench.runner import obstacles

        raise nothing_runs(obstacles(bundle, plan))
