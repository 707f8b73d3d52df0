"""What "best" means: what a graph costs, and the recipes that are worth trying for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_tx.errors import UnknownName

__all__ = ["AIMS", "Aim", "aim_of"]


@dataclass(frozen=True, slots=True)
class Aim:
    """One row of the table.

    Attributes:
        name: What users write: ``--target latency``. Also the name of the cost of a point.
        recipes: Ways to quantise that are tried if none are named.
        show: A cost in words.
        better: How a lower cost is told, after the number of times: ``"as fast"``.
    """

    name: str
    recipes: tuple[str, ...]
    show: Callable[[float], str]
    better: str


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


AIMS: Mapping[str, Aim] = {
    row.name: row
    for row in (
        Aim(
            "latency",
            ("dynamic_w8", "static_w8a8"),
            lambda ns: f"{ns / 1e6:.2f} ms",
            "as fast",
        ),
        Aim(
            "size",
            ("dynamic_w8", "static_w8a8", "weight_w8", "weight_w4"),
            _megabytes,
            "as small",
        ),
        Aim(
            "memory",
            ("dynamic_w8", "static_w8a8", "weight_w8"),
            _megabytes,
            "as little memory",
        ),
    )
}


def aim_of(name: str) -> Aim:
    """Looks an aim up.

    Raises:
        UnknownName: There is none of that name.
    """
    if name not in AIMS:
        raise UnknownName("target", name, AIMS)
    return AIMS[name]
