"""Options that several verbs take, worded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from edge_tx.cli.suggesting import task_names

__all__ = [
    "checkpoint_options",
    "data_option",
    "dev_option",
    "metric_option",
    "new_folder_option",
    "pairs_option",
    "revision_option",
    "samples_option",
    "seed_option",
    "task_option",
    "threads_option",
]

Command = Callable[..., Any]
Option = Callable[[Command], Command]


def data_option(*, required: bool = True) -> Option:
    """Real inputs to work with."""
    about = "Real inputs: a text a line, .jsonl, .csv, .tsv or .parquet."
    return click.option("--data", required=required, type=click.Path(), help=about)


def dev_option(otherwise: str) -> Option:
    """Rows to measure on.

    Args:
        otherwise: What if they are not given.
    """
    about = f"Rows to measure on; {otherwise}."
    return click.option("--dev", type=click.Path(), help=about)


def samples_option(count: int, about: str = "Inputs to look at.") -> Option:
    """How much of the data is looked at.

    Args:
        count: If it is not given.
        about: What for.
    """
    kind = click.IntRange(8)
    return click.option("--samples", type=kind, default=count, show_default=True, help=about)


metric_option = click.option(
    "--metric",
    default="cosine",
    show_default=True,
    help="accuracy, f1, em, spearman...; cosine and agreement need no labels.",
)

new_folder_option = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="The new folder, which must not be there yet.",
)

pairs_option = click.option(
    "--option",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the task, e.g. labels=sports,politics. May be given several times.",
)

revision_option = click.option(
    "--revision", help="Commit, tag or branch, where the model is a hub id."
)

seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the sample and its order."
)

task_option = click.option(
    "--task",
    shell_complete=task_names,
    help="What the model is for (edge-tx tasks); inferred if not given.",
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads; by default the cores this process may use.",
)


def checkpoint_options(command: Command) -> Command:
    """What a model is and how its task is called, for verbs that read checkpoints."""
    for option in (pairs_option, revision_option, task_option):
        command = option(command)
    return command
