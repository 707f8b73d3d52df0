"""The Pareto front: of all that was tried, what nothing else beats in both score and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_tx.tuning import TIE

__all__ = ["Front", "Place", "Point", "dominators", "holds"]


@dataclass(frozen=True, slots=True)
class Point:
    """One model, backend and precision.

    Attributes:
        kept: Share of the layers' operations that pruning left; 1 for the whole model.
        backend: Of the graph; empty where the model did not get as far as a graph.
        recipe: That it was quantised with; empty for fp32.
        score: The metric; None if it was not measured.
        drop: By how much it is below the whole model's.
        costs: What it takes, by aim: ``latency`` in nanoseconds of a call, ``memory`` in bytes
            at the peak, ``size`` in bytes of its files. Empty if it was not measured.
        over: Whether a gate found it over the budget, before anything else was measured.
        problem: Why there are no numbers, in words.
        tried: False if it was left out on purpose.
    """

    kept: float
    backend: str = ""
    recipe: str = ""
    score: float | None = None
    drop: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    over: bool = False
    problem: str = ""
    tried: bool = True

    @property
    def graph(self) -> str:
        """Name of the graph in its bundle."""
        kind = self.recipe.partition(":")[0] or "fp32"
        return f"{self.backend}-{kind}" if self.backend else ""

    @property
    def model(self) -> str:
        """The model, in words."""
        return "whole" if self.kept >= 1 else f"{self.kept:.0%}"

    @property
    def name(self) -> str:
        """Both, in words."""
        return f"{self.model} {self.graph}".strip()

    @property
    def changed(self) -> bool:
        """Whether it is anything but the model as it was."""
        return self.kept < 1 or bool(self.recipe)


@dataclass(frozen=True, slots=True)
class Place:
    """A point and where it stands.

    Attributes:
        point: The point.
        verdict: ``"best"``, ``"front"``, ``"dominated"``, ``"over budget"``, ``"failed"`` or
            ``"not tried"``.
        why: In words; empty if the verdict says it all.
        by: The point on the front that dominates it, if one does.
    """

    point: Point
    verdict: str
    why: str = ""
    by: Point | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        point = self.point
        names = ("kept", "backend", "recipe", "graph", "score", "drop")
        record = {name: getattr(point, name) for name in names}
        return record | {"costs": dict(point.costs), "verdict": self.verdict, "why": self.why}


@dataclass(frozen=True, slots=True)
class Front:
    """All points, each with its place.

    Attributes:
        places: In the order they were tried.
    """

    places: tuple[Place, ...]

    @classmethod
    def of(cls, points: Sequence[Point], max_drop: float, aim: str) -> Front:
        """Places points.

        Args:
            points: In the order they were tried.
            max_drop: Most that the metric may fall.
            aim: Name of the cost that counts.
        """
        measured = [p for p in points if p.drop is not None and aim in p.costs]
        found = dominators([(p.drop or 0.0, p.costs[aim]) for p in measured])
        beaten = {
            id(point): measured[by]
            for point, by in zip(measured, found, strict=True)
            if by is not None
        }
        best = _best(measured, max_drop, aim)
        return cls(tuple(_place(p, best, beaten.get(id(p)), max_drop, aim) for p in points))

    @property
    def best(self) -> Point | None:
        """The one to keep; None if nothing holds the budget."""
        return next((place.point for place in self.places if place.verdict == "best"), None)


def dominators(costs: Sequence[tuple[float, ...]]) -> list[int | None]:
    """Which point beats each, if one does.

    A point dominates another if it costs no more in anything and less in something; of equal
    ones the first stands for all.

    Args:
        costs: Of each point, less is better, in the same order for all.

    Returns:
        For each point the index of one on the front that dominates it; None for the front.
    """
    front: list[int] = []
    beaten: list[int | None] = [None] * len(costs)
    # In this order whatever dominates a point comes before it.
    for place in sorted(range(len(costs)), key=lambda i: (costs[i], i)):
        by = next((f for f in front if _no_worse(costs[f], costs[place])), None)
        if by is None:
            front.append(place)
        beaten[place] = by
    return beaten


def _no_worse(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def holds(point: Point, max_drop: float) -> bool:
    """Whether a measured point is within the budget; the last digits of a float do not count."""
    return not point.over and point.drop is not None and point.drop <= max_drop + 1e-12


def _best(measured: Sequence[Point], max_drop: float, aim: str) -> Point | None:
    """The least cost within the budget; of those that are as good as equal, the best score."""
    holding = [point for point in measured if holds(point, max_drop)]
    if not holding:
        return None
    least = min(point.costs[aim] for point in holding)
    equal = [point for point in holding if point.costs[aim] <= least * (1 + TIE)]
    return min(equal, key=lambda point: (point.drop or 0.0, point.costs[aim]))


def _place(
    point: Point, best: Point | None, beaten: Point | None, max_drop: float, aim: str
) -> Place:
    if not point.tried:
        return Place(point, "not tried", point.problem)
    if point.over or (point.drop is not None and not holds(point, max_drop)):
        fall = "" if point.drop is None else f"it falls by {point.drop:.4f}"
        return Place(point, "over budget", point.problem or fall)
    if point.problem or aim not in point.costs:
        return Place(point, "failed", point.problem or f"its {aim} could not be measured")
    if point is best:
        return Place(point, "best")
    if beaten is not None:
        return Place(point, "dominated", f"by {beaten.name}", beaten)
    return Place(point, "front")
