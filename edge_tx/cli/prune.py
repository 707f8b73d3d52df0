"""``edge-tx prune``: takes heads, neurons and layers out of a checkpoint, down to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.options import (
    checkpoint_options,
    data_option,
    dev_option,
    metric_option,
    new_folder_option,
    samples_option,
    seed_option,
    threads_option,
)
from edge_tx.cli.screen import Screen, facts, grid, human_bytes, output_options
from edge_tx.cli.suggesting import backend_names

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from edge_tx.calibration.pruning_outcome import LayerReport, Pruned, Recovery

_BAR = 20


@click.command("prune")
@click.argument("model", type=click.Path())
@new_folder_option
@data_option()
@click.option(
    "--target-flops", type=float, help="Share of the layers' operations that may be left, e.g. 0.5."
)
@click.option(
    "--target-latency", type=float, help="Share of the time that may be left, measured here."
)
@click.option("--heads", type=click.IntRange(1), help="Heads that each layer keeps.")
@click.option("--ffn", type=click.IntRange(1), help="FFN neurons that each layer keeps.")
@click.option(
    "--layers",
    help="How many layers stay, or which: 4, 0,1,3,5, or search:4 for those missed most.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Keep all heads, and one FFN width for all layers: transformers alone loads that.",
)
@click.option(
    "--method",
    default="surgeon",
    show_default=True,
    help="surgeon counts on the units that stay making up for one that goes; fisher does not.",
)
@click.option(
    "--backend",
    default="onnx",
    show_default=True,
    shell_complete=backend_names,
    help="Measures layers for --target-latency.",
)
@click.option(
    "--measure",
    "measured",
    multiple=True,
    default=("onnx",),
    show_default=True,
    shell_complete=backend_names,
    help="Backends that time the model before and after, with commas; none for no timing.",
)
@dev_option("--data by default")
@metric_option
@click.option(
    "--max-drop",
    type=float,
    help="Most that the metric may fall (0.01 is a point): a smaller cut is searched if it does.",
)
@click.option(
    "--recover",
    type=float,
    metavar="MINUTES",
    help="Train each cut for so long to answer as the whole model does (see edge-tx distill).",
)
@samples_option(2048)
@click.option(
    "--seq",
    type=click.IntRange(2),
    default=128,
    show_default=True,
    help="Tokens of a text that targets are meant for.",
)
@seed_option
@threads_option
@checkpoint_options
@output_options
def command(
    model: str,
    output: str,
    data: str,
    target_flops: float | None,
    target_latency: float | None,
    heads: int | None,
    ffn: int | None,
    layers: str | None,
    plain: bool,
    method: str,
    backend: str,
    measured: tuple[str, ...],
    dev: str | None,
    metric: str,
    max_drop: float | None,
    recover: float | None,
    samples: int,
    seq: int,
    seed: int,
    threads: int | None,
    task: str | None,
    revision: str | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Make a checkpoint smaller and faster, without training it unless asked to.

    Attention heads and FFN neurons that matter least to the model's own answers go, and those
    that stay are fitted to make up for them. Writes a folder that edge-tx export reads like any
    other.
    """
    from edge_tx.calibration.pruning import prune

    with screen.stages() as progress:
        done = prune(
            model,
            output,
            data=data,
            target_flops=target_flops,
            target_latency=target_latency,
            heads=heads,
            ffn=ffn,
            layers=layers,
            plain=plain,
            method=method,
            backend=backend,
            measure=_names(measured),
            dev=dev,
            metric=metric,
            max_drop=max_drop,
            recover=recover,
            samples=samples,
            seq=seq,
            seed=seed,
            threads=threads,
            task=task,
            revision=revision,
            options=reading.options(pairs),
            progress=progress,
        )
    screen.result(done.to_dict(), *rendered(done))


def _names(texts: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for text in texts for name in text.split(",")]
    return () if names == ["none"] else tuple(names)


def rendered(done: Pruned) -> list[RenderableType]:
    """Numbers before and after, and a map of what stays."""
    return [facts(_facts(done)), "", _table(done), "", _map(done), *_loading(done)]


def _facts(done: Pruned) -> dict[str, object]:
    smaller = done.target is not None and done.asked is not None and done.target > done.asked
    asked = f" ({done.asked:.0%} was asked for: the metric fell too far)" if smaller else ""
    removed = ", ".join(map(str, done.removed_layers))
    return {
        "written": done.output,
        "left": f"{done.flops_ratio:.0%} of the layers' operations{asked}",
        "layers removed": removed,
        "recovered": _recovered(done.recovery),
    }


def _recovered(found: Recovery | None) -> str:
    if found is None:
        return ""
    return (
        f"{found.metric} with the whole model from {found.before:.4f} to {found.after:.4f}, in "
        f"{found.steps} steps and {found.seconds / 60:.1f} minutes"
    )


def _table(done: Pruned) -> RenderableType:
    before, after = done.before, done.after
    rows = [
        ("parameters", f"{before.parameters / 1e6:.2f} M", f"{after.parameters / 1e6:.2f} M",
         f"{after.parameters / before.parameters:.0%}"),
        ("in the layers", f"{before.encoder_parameters / 1e6:.2f} M",
         f"{after.encoder_parameters / 1e6:.2f} M",
         f"{after.encoder_parameters / before.encoder_parameters:.0%}"),
        ("weights in fp32", human_bytes(before.weight_bytes), human_bytes(after.weight_bytes),
         f"{after.weight_bytes / before.weight_bytes:.0%}"),
        ("operations of a text", f"{before.flops / 1e9:.2f} G", f"{after.flops / 1e9:.2f} G",
         f"{done.flops_ratio:.0%}"),
    ]  # fmt: skip
    if done.score_before is not None and done.score_after is not None:
        change = f"{done.score_after - done.score_before:+.4f}"
        rows.append((done.metric, f"{done.score_before:.4f}", f"{done.score_after:.4f}", change))
    for backend, paces in done.paces.items():
        rows += [
            (f"{backend}, {pace.seq} tokens", f"{pace.fp32_ns / 1e6:.2f} ms",
             f"{pace.ns / 1e6:.2f} ms", f"{pace.speedup:.2f} times as fast")
            for pace in paces
        ]  # fmt: skip
    return grid(("", "before", "after", "change"), rows, right="before after change")


def _map(done: Pruned) -> RenderableType:
    rows = [(number, _heads(row), _neurons(row)) for number, row in done.layers.items()]
    return grid(("layer", "heads", "neurons"), rows, right="layer")


def _heads(row: LayerReport) -> Text:
    """A square for each head of the layer as it was; those that went are dim points."""
    from rich.text import Text

    kept = set(range(row.of_heads)) if len(row.heads) == row.of_heads else set(row.heads)
    count = max(row.of_heads, max(row.heads) + 1)
    text = Text()
    for head in range(count):
        text.append("■" if head in kept else "·", style="" if head in kept else "dim")
    return text.append(f" {len(row.heads)} of {row.of_heads}", style="dim")


def _neurons(row: LayerReport) -> Text:
    from rich.text import Text

    full = max(1, round(_BAR * row.neurons / row.of_neurons))
    text = Text("█" * full).append("░" * (_BAR - full), style="dim")
    return text.append(f" {row.neurons} of {row.of_neurons}", style="dim")


def _loading(done: Pruned) -> list[RenderableType]:
    if done.plain:
        return []
    return [
        "",
        "Its layers differ: transformers needs edge_tx.calibration.pruning.load(folder) to read "
        "it; edge-tx export reads it as it is.",
    ]
