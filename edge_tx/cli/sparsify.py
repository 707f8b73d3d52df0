"""``edge-tx sparsify``: sets weights of a checkpoint to zero, without training."""

from __future__ import annotations

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
)
from edge_tx.cli.screen import Screen, facts, output_options


@click.command("sparsify")
@click.argument("model", type=click.Path())
@new_folder_option
@click.option(
    "--method",
    default="obs",
    show_default=True,
    help="obs (second order, needs --data), l1, l1_global, or movement (trains).",
)
@click.option(
    "--ratio", default=0.5, show_default=True, help="Share of the weights that become zero."
)
@click.option("--pattern", help="N:M in the place of a share: 2:4 keeps 2 of every 4 in a row.")
@click.option(
    "--scope",
    default="linear",
    show_default=True,
    help="linear: the encoder's linear layers; all: the embedding tables, too.",
)
@data_option(required=False)
@dev_option("nothing is measured without them")
@metric_option
@samples_option(512, "Inputs that obs looks at.")
@click.option(
    "--epochs", default=1.0, show_default=True, help="Times movement goes through the data."
)
@seed_option
@checkpoint_options
@output_options
def command(
    model: str,
    output: str,
    method: str,
    ratio: float,
    pattern: str | None,
    scope: str,
    data: str | None,
    dev: str | None,
    metric: str,
    samples: int,
    epochs: float,
    seed: int,
    task: str | None,
    revision: str | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Set weights of a checkpoint to zero in one go, and write it as a new folder.

    Shapes stay as they are, so that most runtimes are no faster for it and no smaller: for that,
    see edge-tx prune and docs/distillation.md.
    """
    from edge_tx.calibration.sparsity import sparsify

    with screen.stages() as progress:
        done = sparsify(
            model,
            output,
            method=method,
            ratio=ratio,
            pattern=pattern,
            scope=scope,
            data=data,
            dev=dev,
            metric=metric,
            samples=samples,
            epochs=epochs,
            seed=seed,
            task=task,
            revision=revision,
            options=reading.options(pairs),
            progress=progress,
        )
    shown = {
        "folder": output,
        "zeros": f"{done.sparsity:.1%} of {sum(m.weights for m in done.matrices):,} weights "
        f"in {len(done.matrices)} matrices",
    }
    if done.after is not None:
        shown[done.metric] = f"{done.after:.4f} (before {done.before:.4f})"
    screen.result(done.to_dict(), facts(shown))
