"""The options of every verb that opens a graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from edge_tx.cli.options import threads_option
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import EdgeTxError, InvalidInput, MissingDependency

__all__ = ["accuracy_option", "model_options", "nothing_runs", "pair", "vendor_options"]

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
    @threads_option
    @click.option("--graph", help="Name of the graph, where a backend has several.")
    @accuracy_option
    @vendor_options
    @functools.wraps(verb)
    def with_opening(
        *args: Any,
        backend: str,
        device: str,
        threads: int | None,
        graph: str | None,
        min_accuracy: float | None,
        vendor: dict[str, str],
        **kwargs: Any,
    ) -> Any:
        opening = {
            "backend": backend,
            "device": device,
            "threads": threads,
            "graph": graph,
            "min_accuracy": min_accuracy,
            "options": vendor,
        }
        return verb(*args, opening=opening, **kwargs)

    return with_opening  # type: ignore[return-value]


def vendor_options(verb: F) -> F:
    """Gives a verb the vendor's own settings, as the mapping ``vendor``."""

    @click.option(
        "--backend-option",
        "pairs_of_backend",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the vendor's runtime, e.g. CACHE_DIR=... of openvino.",
    )
    @functools.wraps(verb)
    def with_vendor(*args: Any, pairs_of_backend: tuple[str, ...], **kwargs: Any) -> Any:
        return verb(*args, vendor=dict(map(pair, pairs_of_backend)), **kwargs)

    return with_vendor  # type: ignore[return-value]


def nothing_runs(obstacles: Sequence[EdgeTxError]) -> EdgeTxError:
    """The error that stands for all where no graph can run: what to install comes last."""
    others = (error for error in obstacles if not isinstance(error, MissingDependency))
    return next(others, obstacles[0])


def pair(word: str) -> tuple[str, str]:
    """Splits ``KEY=VALUE``.

    Raises:
        InvalidInput: It is not that.
    """
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise InvalidInput(f"option '{word}' is not KEY=VALUE")
    return key, value
