"""``edge-tx quantize``: adds smaller, faster graphs to a bundle, behind an accuracy gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.options import (
    dev_option,
    metric_option,
    pairs_option,
    samples_option,
    seed_option,
    threads_option,
)
from edge_tx.cli.screen import Screen, facts, grid, output_options
from edge_tx.cli.suggesting import backend_names

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.calibration.outcome import Outcome, Quantization


@click.command("quantize")
@click.argument("bundle", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), help="The new bundle; by default the old one is replaced."
)
@click.option(
    "--backend",
    "names",
    multiple=True,
    default=("onnx",),
    show_default=True,
    shell_complete=backend_names,
    help="Backends, with commas between them or one after each --backend.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=("dynamic_w8",),
    show_default=True,
    help="How (edge-tx recipes), e.g. static_w8a8:smooth=0.5. May be given several times.",
)
@click.option(
    "--data",
    type=click.Path(),
    help="Real inputs to calibrate on: a text a line, .jsonl, .csv, .tsv or .parquet.",
)
@dev_option("--data by default")
@metric_option
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 2),
    default=0.01,
    show_default=True,
    help="Most that the metric may fall below fp32's; 0.01 is a point.",
)
@click.option(
    "--target",
    default="host",
    show_default=True,
    help="The device it is for: host, arm64, arm64-i8mm, x86-avx2, x86-vnni, x86-amx...",
)
@click.option(
    "--goal",
    type=click.Choice(("speed", "size")),
    default="speed",
    show_default=True,
    help="size writes a graph that is not faster, too.",
)
@click.option("--keep", is_flag=True, help="Write a graph that is not worth it here all the same.")
@samples_option(256, "Inputs to calibrate on.")
@seed_option
@threads_option
@pairs_option
@output_options
def command(
    bundle: str,
    output: str | None,
    names: tuple[str, ...],
    recipes: tuple[str, ...],
    data: str | None,
    dev: str | None,
    metric: str,
    max_drop: float,
    target: str,
    goal: str,
    keep: bool,
    samples: int,
    seed: int,
    threads: int | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Add quantised graphs to a bundle, each held against fp32 by a metric.

    A graph whose metric falls by more than --max-drop gets layers back in float, the most
    harmful first, until it holds; if it never does, nothing is written. A graph that is not
    faster here is not written either, unless its size is the goal.
    """
    from edge_tx.calibration.flow import quantize

    with screen.stages() as progress:
        done = quantize(
            bundle,
            output,
            backend=[name.strip() for text in names for name in text.split(",")],
            recipe=recipes,
            data=data,
            dev=dev,
            metric=metric,
            max_drop=max_drop,
            target=target,
            goal=goal,
            keep=keep,
            samples=samples,
            seed=seed,
            threads=threads,
            options=reading.options(pairs),
            progress=progress,
        )
    with done.bundle:
        screen.result(done.to_dict(), *rendered(done))
    raise_if_failed(done)


def raise_if_failed(done: Quantization) -> None:
    """The exit code is that of the first failure; what was written stays."""
    for outcome in done.failures:
        if outcome.error is not None:
            raise outcome.error


def rendered(done: Quantization) -> list[RenderableType]:
    """One block for each graph."""
    parts: list[RenderableType] = []
    for outcome in done.outcomes:
        parts += [facts(_facts(outcome)), ""]
        if outcome.steps:
            parts += [_steps(outcome), ""]
    return parts[:-1]


def _facts(outcome: Outcome) -> dict[str, object]:
    if outcome.error is not None:
        return {outcome.graph: f"failed: {outcome.reason}"}
    state = "written" if outcome.written else "not written"
    remark = f"{state}; {outcome.reason}" if outcome.reason else state
    size = f"{outcome.size_ratio:.0%} of fp32" if outcome.size_ratio is not None else ""
    return {
        outcome.graph: remark,
        "recipe": outcome.recipe,
        outcome.metric: f"{outcome.score:.4f} (fp32 {outcome.fp32:.4f})",
        "speed": "\n".join(
            f"{pace.speedup:.2f} times fp32 at {pace.seq} tokens: "
            f"{pace.fp32_ns / 1e6:.2f} to {pace.ns / 1e6:.2f} ms"
            for pace in (outcome.verdict.paces if outcome.verdict else ())
        ),
        "size": size,
    }


def _steps(outcome: Outcome) -> RenderableType:
    first = ("nothing", "", f"{outcome.first:.4f}", "")
    lines = [
        (
            ", ".join(step.groups),
            ", ".join(f"{error:.1e}" for error in step.errors),
            f"{step.score:.4f}",
            f"{step.gained:+.4f}",
        )
        for step in outcome.steps
    ]
    columns = ("back in float", "error alone", outcome.metric, "gained")
    return grid(columns, [first, *lines], right=f"{outcome.metric} gained")
