"""What is asked of an optimisation: checked once, before anything slow begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_tx import backends
from edge_tx.backends import Backend
from edge_tx.calibration import quantizer
from edge_tx.calibration.recipe import parse
from edge_tx.errors import EdgeTxError, InvalidConfig, MissingDependency, UnknownName
from edge_tx.optimizing.aims import Aim

__all__ = ["LEVELS", "Branch", "Plan", "backends_for", "recipes_for"]

LEVELS = (0.8, 0.65, 0.5, 0.4)
"""Shares of the layers' operations that pruning leaves, if none are given."""

_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Branch:
    """A model in a backend.

    Attributes:
        kept: Share of the operations that pruning left; 1 for the whole model.
        backend: Name of the backend.
    """

    kept: float
    backend: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        aim: What the best graph is best at.
        max_drop: Most that the metric may fall below the whole model's.
        recipes: By backend, in the order they are tried, the ways to quantise.
        levels: Shares of the operations that pruning leaves, the mildest first.
        metric: Name of the metric.
        recover: Minutes of distillation for each pruned model; None for none.
        minutes: Most time to spend, all runs together; None for no limit.
        samples: Most inputs to prune and calibrate with.
        seed: Of the samples.
        threads: CPU threads to measure with.
        seconds: Time to spend at least on each kind of call of a measurement, each turn.
        options: Call options of the task.

    Raises:
        InvalidConfig: A number makes no sense.
    """

    aim: Aim
    max_drop: float
    recipes: Mapping[str, tuple[str, ...]]
    levels: tuple[float, ...]
    metric: str
    recover: float | None = None
    minutes: float | None = None
    samples: int = 2048
    seed: int = 0
    threads: int = 1
    seconds: float = 0.5
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 2:
            raise InvalidConfig(f"max_drop must be 0 to 2 (0.01 is a point), not {self.max_drop}")
        wrong = [level for level in self.levels if not _LEAST <= level < 1]
        if wrong or list(self.levels) != sorted(set(self.levels), reverse=True):
            raise InvalidConfig(
                "levels are shares of the operations that are left, the largest first and below "
                f"1, e.g. 0.8,0.6; not {','.join(f'{level:g}' for level in self.levels)}"
            )
        for name in ("recover", "minutes", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InvalidConfig(f"{name} must be above 0, not {value}")
        if not self.levels and not any(self.recipes.values()):
            raise InvalidConfig("nothing to try: give recipes that a backend can do, or levels")
        if self.samples < 8 or self.threads < 1:
            raise InvalidConfig("samples must be 8 or more, and threads 1 or more")

    @property
    def far(self) -> float:
        """A drop after which no stronger pruning is tried: far more than noise explains."""
        return max(2 * self.max_drop, self.max_drop + 0.01)


def backends_for(names: Sequence[str]) -> tuple[Backend, ...]:
    """The backends to try: those that are named, or all that can export and run on this CPU.

    Raises:
        UnknownName: There is none of that name.
        InvalidConfig: One has no exporter, or there is none at all.
        MissingDependency: One is not installed.
    """
    if names:
        return tuple(_able(name) for name in dict.fromkeys(names))
    rows = [
        row
        for row in backends.known().values()
        if row.exporter and row.module is not None and not row.hidden and "cpu" in row.devices
    ]
    if not rows:
        raise MissingDependency("onnxruntime", "running graphs", "pip install onnxruntime")
    return tuple(rows)


def _able(name: str) -> Backend:
    row = backends.find(name)
    if not row.exporter:
        raise InvalidConfig(f"backend '{row.name}' has no exporter")
    if row.module is None:
        raise row.absent(f"measuring {row.name} graphs")
    return row


def recipes_for(
    rows: Sequence[Backend], names: Sequence[str] | None, aim: Aim
) -> dict[str, tuple[str, ...]]:
    """The recipes that each backend can do, of those that are named or that the aim suggests.

    Raises:
        UnknownName: No such recipe or option.
        InvalidConfig: No backend can do a recipe that was named.
    """
    wanted = [str(parse(name)) for name in (aim.recipes if names is None else names)]
    kinds = [parse(recipe).name for recipe in wanted]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), "")
    if twice:
        raise InvalidConfig(f"recipe {twice} stands twice: optimize once for each")
    found = {row.name: tuple(r for r in wanted if not _refusal(row, r)) for row in rows}
    for recipe in wanted if names is not None else ():
        if not any(recipe in able for able in found.values()):
            raise InvalidConfig(f"no backend can do '{recipe}': {_refusal(rows[0], recipe)}")
    return found


def _refusal(row: Backend, recipe: str) -> str:
    """Why a backend cannot do a recipe; empty if it can."""
    try:
        quantizer.find(row).check(parse(recipe))
    except UnknownName:
        raise
    except EdgeTxError as exc:
        return str(exc)
    return ""
