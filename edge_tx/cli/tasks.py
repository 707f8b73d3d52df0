"""``edge-tx tasks``: the table of tasks."""

from __future__ import annotations

import click

from edge_tx.cli.screen import Screen, grid, output_options


@click.command("tasks")
@output_options
def command(screen: Screen) -> None:
    """List the tasks a checkpoint can be exported for."""
    from edge_tx.tasks import TASKS

    records = [
        {"name": row.name, "title": row.title, "takes": row.takes, "synonyms": list(row.synonyms)}
        for row in TASKS.values()
    ]
    lines = [(row.name, row.takes, ", ".join(row.synonyms)) for row in TASKS.values()]
    screen.result({"tasks": records}, grid(("task", "takes", "also called"), lines))
