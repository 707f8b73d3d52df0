"""Values that a shell completes; the tables are imported only then."""

from __future__ import annotations

import click

__all__ = ["backend_names", "task_names"]


def task_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of tasks."""
    from edge_tx.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def backend_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of backends."""
    from edge_tx import backends

    rows = backends.known().values()
    return [row.name for row in rows if row.name.startswith(incomplete) and not row.hidden]
