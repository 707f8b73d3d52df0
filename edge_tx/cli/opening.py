"""The options of every verb that opens a graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from edge_tx.cli.suggesting import backend_names

__all__ = ["accuracy_option", "model_options"]

F = TypeVar("F", bound=Callable[..., Any])

accuracy_option = click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Only graphs with at least this accuracy relative to fp32, e.g. 0.99.",
)


def model_options(verb: F) -> F:
    """Gives a verb the options of :func:`edge_tx.load`, as the mapping ``opening``."""

    @click.option(
        "--backend",
        default="auto",
        show_default=True,
        shell_complete=backend_names,
        help="Run a graph of this backend; auto takes the best that tune measured here.",
    )
    @click.option(
        "--device",
        default="auto",
        show_default=True,
        help="cpu, cuda...: that device or an error, never another one instead.",
    )
    @click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="CPU threads; by default the cores this process may use.",
    )
    @click.option("--graph", help="Name of the graph, where a backend has several.")
    @accuracy_option
    @functools.wraps(verb)
    def with_opening(
        *args: Any,
        backend: str,
        device: str,
        threads: int | None,
        graph: str | None,
        min_accuracy: float | None,
        **kwargs: Any,
    ) -> Any:
        opening = {
            "backend": backend,
            "device": device,
            "threads": threads,
            "graph": graph,
            "min_accuracy": min_accuracy,
        }
        return verb(*args, opening=opening, **kwargs)

    return with_opening  # type: ignore[return-value]
