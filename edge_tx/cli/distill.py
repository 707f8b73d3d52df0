"""``edge-tx distill``: trains a small model to answer as a large one does."""

from __future__ import annotations

import click

from edge_tx.cli import reading
from edge_tx.cli.options import (
    checkpoint_options,
    data_option,
    dev_option,
    new_folder_option,
    seed_option,
    threads_option,
)
from edge_tx.cli.screen import Screen, facts, output_options


@click.command("distill")
@click.option("--teacher", required=True, type=click.Path(), help="A folder, or a hub id.")
@click.option(
    "--student",
    required=True,
    help="A folder (pruned, too), layers=3, layers=0,2,5 or layers=search:3 of the teacher.",
)
@data_option()
@new_folder_option
@dev_option("by default a part of --data")
@click.option(
    "--metric",
    default="",
    help="accuracy, f1, em, spearman...; by default likeness to the teacher's answers.",
)
@click.option(
    "--loss",
    default="output=1,hidden=1",
    show_default=True,
    help="Weights of output, mse, hidden, relations and labels, with commas between them.",
)
@click.option(
    "--temperature", default=2.0, show_default=True, help="Of the scores that are compared."
)
@click.option("--epochs", default=3.0, show_default=True, help="Times to go through the data.")
@click.option("--minutes", type=float, help="Most time to spend, measurements and all.")
@click.option("--rate", default=1e-4, show_default=True, help="Highest learning rate.")
@click.option("--batch", default=32, show_default=True, help="Most rows of a batch.")
@click.option("--accumulate", default=1, show_default=True, help="Batches of one step.")
@click.option("--embeddings", is_flag=True, help="Train the embedding tables, too.")
@click.option("--dropout", is_flag=True, help="Leave the student's dropout on.")
@click.option(
    "--measurements", default=10, show_default=True, help="How often the metric is taken."
)
@click.option("--patience", type=int, help="Measurements without a better one that end it.")
@seed_option
@click.option("--max-length", type=click.IntRange(min=1), help="Most tokens of one row.")
@click.option(
    "--work",
    type=click.Path(),
    help="Folder for the run's state and the teacher's answers, which is then kept.",
)
@threads_option
@checkpoint_options
@output_options
def command(
    teacher: str,
    student: str,
    data: str,
    output: str,
    dev: str | None,
    metric: str,
    loss: str,
    temperature: float,
    epochs: float,
    minutes: float | None,
    rate: float,
    batch: int,
    accumulate: int,
    embeddings: bool,
    dropout: bool,
    measurements: int,
    patience: int | None,
    seed: int,
    max_length: int | None,
    work: str | None,
    threads: int | None,
    task: str | None,
    revision: str | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Train a small model to answer as a large one does, on the CPU.

    The same command after a kill goes on where the run was. The student's best measurement is
    what is written.
    """
    from edge_tx.calibration.distillation import distill
    from edge_tx.calibration.distillation_plan import Training, parse_losses

    training = Training(
        losses=parse_losses(loss),
        temperature=temperature,
        epochs=epochs,
        minutes=minutes,
        rate=rate,
        batch=batch,
        accumulate=accumulate,
        embeddings=embeddings,
        dropout=dropout,
        measurements=measurements,
        patience=patience,
        seed=seed,
    )
    with screen.stages() as progress:
        done = distill(
            teacher,
            student,
            output,
            data=data,
            dev=dev,
            metric=metric,
            training=training,
            task=task,
            revision=revision,
            max_length=max_length,
            work=work,
            threads=threads,
            options=reading.options(pairs),
            progress=progress,
        )
    large, small = done.parameters
    shown = {
        "folder": output,
        "weights": f"{small:,} of the teacher's {large:,}",
        done.metric: f"{done.after:.4f} (before {done.before:.4f}, teacher {done.teacher:.4f})",
        "training": f"{done.steps} steps in {done.seconds / 60:.1f} minutes",
    }
    screen.result(done.to_dict(), facts(shown))
