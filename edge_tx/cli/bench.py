"""``edge-tx bench``: load time, latency, throughput, memory and accuracy on this device."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading, subjects, tables
from edge_tx.cli.opening import accuracy_option, nothing_runs, vendor_options
from edge_tx.cli.remoting import Elsewhere, from_elsewhere, remote_options
from edge_tx.cli.screen import Screen, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import AccuracyGateFailed, SessionFailed

if TYPE_CHECKING:
    from edge_tx.bench.plan import Plan, Subject
    from edge_tx.report import ReportRow


@click.command("bench")
@click.argument("models", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path())
@click.option("--graph", "graphs", multiple=True, help="Only this graph; several times for more.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=backend_names,
    help="Only graphs of these backends, with commas; auto is every backend.",
)
@click.option("--device", default="auto", show_default=True, help="Device to run on.")
@click.option("--threads", help="CPU threads, e.g. 1,2,4; by default the cores there are.")
@click.option("--batch", default="1", show_default=True, help="Inputs of a call, e.g. 1,8,32.")
@click.option(
    "--seq", default="0", help="Tokens of an input, e.g. 32..512 (doubling); 0 is real text."
)
@accuracy_option
@click.option(
    "--file", "path", type=click.Path(), help="Inputs, one a line; by default the golden ones."
)
@click.option("--data", default="", type=click.Path(), help="Rows to measure with, with labels.")
@click.option(
    "--metric",
    default="",
    help="Accuracy by these, with commas; if --data has labels, the usual one.",
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
    help="Time to spend on calls, and again on lists.",
)
@click.option(
    "--min-calls",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Calls to time at least.",
)
@click.option("--seed", default=0, show_default=True, help="Of the cells' order.")
@click.option(
    "--repeats",
    type=click.IntRange(min=0),
    help="Measure every cell so often again; by default one cell alone, for the noise.",
)
@click.option("--reference", default="", help="Measure the checkpoint too: torch.")
@click.option("--checkpoint", default="", type=click.Path(), help="The bundle's, for --reference.")
@click.option(
    "--scenario",
    default="",
    metavar="NAME,...",
    help="SingleStream, MultiStream, Offline, Server: MLPerf's, with commas.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Queries per second of Server."
)
@click.option("--loadgen", is_flag=True, help="Let MLPerf's LoadGen run the scenarios too.")
@click.option("--sustain", default="", metavar="TIME", help="Go on for e.g. 10m in each cell.")
@click.option("--max-memory", default="", metavar="SIZE", help="Limit of a cell, e.g. 512M.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(),
    help="Write the report to FILE.json, .csv...; may be given several times.",
)
@vendor_options
@output_options
@remote_options(stays=frozenset({"outputs"}))
def command(
    models: tuple[str, ...],
    backend: str,
    graphs: tuple[str, ...],
    device: str,
    threads: str | None,
    batch: str,
    seq: str,
    min_accuracy: float | None,
    path: str | None,
    data: str,
    metric: str,
    pairs: tuple[str, ...],
    seconds: float,
    min_calls: int,
    seed: int,
    repeats: int | None,
    reference: str,
    checkpoint: str,
    scenario: str,
    rate: float | None,
    loadgen: bool,
    sustain: str,
    max_memory: str,
    outputs: tuple[str, ...],
    vendor: Mapping[str, str],
    screen: Screen,
    elsewhere: Elsewhere | None,
) -> None:
    """Measure load time, latency, throughput and memory here.

    BUNDLE is a bundle, a checkpoint's folder or a hub id; the last two are exported first. Every
    cell (graph, threads, batch, tokens) is measured in a fresh process: docs/benchmarks.md says
    how, and what each number means. With --json every sample is kept.
    """
    from edge_tx.bench import sweep
    from edge_tx.bench.plan import Plan
    from edge_tx.bench.runner import run
    from edge_tx.report_files import check_names, write

    check_names(outputs)
    if elsewhere is not None:
        from_elsewhere(elsewhere, outputs, screen)
        return
    plan = Plan(
        graphs=graphs,
        backends=() if backend == "auto" else _names(backend),
        device=device,
        axes=sweep.Axes(
            sweep.axis("--threads", threads) if threads else (),
            sweep.axis("--batch", batch),
            sweep.axis("--seq", seq, least=0),
        ),
        inputs=reading.to_measure(path),
        data=data,
        metrics=_names(metric),
        options=tuple(reading.options(pairs).items()),
        vendor=tuple(vendor.items()),
        seconds=seconds,
        min_calls=min_calls,
        min_accuracy=min_accuracy,
        seed=seed,
        repeats=repeats,
        reference=reference,
        scenarios=_names(scenario),
        rate=rate or 0.0,
        loadgen=loadgen,
        sustain_ns=sweep.duration_ns("--sustain", sustain) if sustain else 0,
        max_memory_bytes=sweep.size_bytes("--max-memory", max_memory) if max_memory else 0,
    )
    with subjects.opened(models, plan, checkpoint, screen) as given:
        with screen.stages() as progress:
            report = run(given, plan, lambda name, *steps: progress(f"measuring {name}", *steps))
        for name in write(report, outputs):
            screen.remark(f"wrote {name}")
        screen.result(json.loads(report.to_json()), *tables.of_report(report))
        _raise_if_bad(given, plan, report.rows)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _raise_if_bad(given: Sequence[Subject], plan: Plan, rows: Sequence[ReportRow]) -> None:
    from edge_tx.bench.runner import INTERRUPTED

    if any(row.note == INTERRUPTED for row in rows):
        raise KeyboardInterrupt
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more of {len(rows)} cells)" if len(failed) > 1 else ""
        raise SessionFailed(f"measuring {failed[0].label} failed: {failed[0].note}{more}")
    if rows and all(row.status == "skipped" for row in rows):
        if any(row.note.startswith("accuracy") for row in rows):
            raise AccuracyGateFailed(f"no graph will do: {rows[0].graph}: {rows[0].note}")
        from edge_tx.bench.cells import obstacles

        found = [error for one in given for error in obstacles(one.bundle, plan)]
        raise nothing_runs(found) if found else SessionFailed(f"nothing ran: {rows[0].note}")
