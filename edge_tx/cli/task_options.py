"""``--task``, ``--revision`` and ``--option`` of verbs that read a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edge_tx.cli.suggesting import task_names

__all__ = ["task_options"]

F = TypeVar("F", bound=Callable[..., Any])


def task_options(model: str) -> Callable[[F], F]:
    """Adds ``task``, ``revision`` and ``pairs`` to a verb.

    Args:
        model: What the revision is of, as the verb's help calls it.
    """
    options = (
        click.option(
            "--task",
            shell_complete=task_names,
            help="What the model is for (edge-tx tasks); inferred if not given.",
        ),
        click.option("--revision", help=f"Commit, tag or branch, where {model} is a hub id."),
        click.option(
            "--option",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the task, e.g. labels=sports,politics. May be given several times.",
        ),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
