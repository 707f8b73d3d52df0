"""Options that several verbs take, worded once."""

from __future__ import annotations

import click

from edge_tx.cli.suggesting import task_names

__all__ = [
    "data_option",
    "metric_option",
    "new_folder_option",
    "pairs_option",
    "revision_option",
    "seed_option",
    "task_option",
    "threads_option",
]

data_option = click.option(
    "--data",
    required=True,
    type=click.Path(),
    help="Real inputs: a text a line, .jsonl, .csv, .tsv or .parquet.",
)

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
