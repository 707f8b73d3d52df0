"""``edge-tx export --quantize``: quantises what was just exported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.calibration.outcome import Quantization

__all__ = ["Quantizing", "quantizing_options"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Quantizing:
    """What is asked for after an export.

    Attributes:
        recipes: None for nothing.
        settings: Of :func:`edge_tx.quantize`.
    """

    recipes: tuple[str, ...]
    settings: dict[str, Any]

    def check(self) -> None:
        """Finds mistakes before the slow part.

        Raises:
            EdgeTxError: As :func:`edge_tx.quantize` for what has nothing to do with the bundle.
        """
        if self.recipes:
            from edge_tx.calibration.plan import check_request

            check_request(self.recipes, self.settings["data"], self.settings["dev"])

    def run(self, bundle: Bundle, progress: Any) -> Quantization | None:
        """Adds quantised graphs to a bundle for every backend of it that can; None if not asked."""
        if not self.recipes:
            return None
        from edge_tx.backends import find
        from edge_tx.calibration.flow import quantize

        able = [g.backend for g in bundle.graphs if g.precision == "fp32" and not g.recipe]
        names = [name for name in dict.fromkeys(able) if find(name).quantizer]
        return quantize(
            bundle.origin, backend=names, recipe=self.recipes, progress=progress, **self.settings
        )


def quantizing_options(verb: F) -> F:
    """Gives a verb ``--quantize`` and what goes with it, as ``quantizing``."""

    @click.option(
        "--quantize",
        "recipes",
        multiple=True,
        metavar="RECIPE",
        help="Quantise every graph too (edge-tx recipes). May be given several times.",
    )
    @click.option("--data", type=click.Path(), help="Real inputs to calibrate on.")
    @click.option("--dev", type=click.Path(), help="Rows to measure on; --data by default.")
    @click.option("--metric", default="cosine", show_default=True, help="What may not fall...")
    @click.option(
        "--max-drop",
        type=click.FloatRange(0, 2),
        default=0.01,
        show_default=True,
        help="...by more than this.",
    )
    @click.option(
        "--goal",
        type=click.Choice(("speed", "size")),
        default="speed",
        show_default=True,
        help="size writes a quantised graph that is not faster, too.",
    )
    @functools.wraps(verb)
    def with_quantizing(
        *args: Any,
        recipes: tuple[str, ...],
        data: str | None,
        dev: str | None,
        metric: str,
        max_drop: float,
        goal: str,
        **kwargs: Any,
    ) -> Any:
        settings = {"data": data, "dev": dev, "metric": metric, "max_drop": max_drop, "goal": goal}
        return verb(*args, quantizing=Quantizing(recipes, settings), **kwargs)

    return with_quantizing  # type: ignore[return-value]
