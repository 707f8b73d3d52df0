"""``edge-tx backends``: the table of backends."""

from __future__ import annotations

import click

from edge_tx.cli.screen import Screen, grid, output_options


@click.command("backends")
@output_options
def command(screen: Screen) -> None:
    """List the backends, installed or not."""
    from edge_tx import backends

    rows = [row for row in backends.known().values() if not row.hidden]
    records = [
        {
            "name": row.name,
            "title": row.title,
            "installed": row.module is not None,
            "install": row.install,
            "devices": list(row.devices),
            "precisions": list(row.precisions),
            "exports": bool(row.exporter),
        }
        for row in rows
    ]
    lines = [
        (row.name, row.title, row.install if row.module is None else "yes",
         ", ".join(row.devices), ", ".join(row.precisions))
        for row in rows
    ]  # fmt: skip
    columns = ("backend", "runtime", "installed", "devices", "precisions")
    screen.result({"backends": records}, grid(columns, lines))
