"""The accuracy gate: a metric's budget, and layers returned to float until it holds.

A quantised graph may lose ``max_drop`` of a metric against the fp32 graph. If it loses more,
its units are ranked by the damage that each does alone, and returned to float in that order, the
worst first, with the metric measured after each step. If the budget does not hold before all
of them are back, the gate fails.

**Ranking.** Each group of units is quantised by itself, everything else in float, and the error of
the outputs is taken on a small sample. The other way round, all quantised but one group, costs as
many graphs, and its effect would be the small difference of two large errors; a group alone shows
its own damage and nothing else. The metric would need the whole data set to see such differences;
the error of the outputs sees them on a few rows.

The damage is weighed against what the group is good for: a token embedding is half of a small
model's bytes, and returning it would save the metric and lose the reason for quantising. So the
order is that of error by bytes saved, where a group that saves less than the median counts as the
median: a classifier of two rows is not returned first only because it is small.

**Steps.** The metric is measured on all the data, so a step is expensive: the first
:data:`SINGLES` steps return one group each, later ones twice as many each time. So a hopeless
graph is given up after a number of steps that grows with the logarithm of its groups.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edge_tx.errors import AccuracyGateFailed, InvalidConfig

__all__ = ["SINGLES", "Budget", "Gate", "Passed", "Progress", "Step", "Trial", "grouped"]

SINGLES = 8
"""Steps that return one group; after them the number doubles with each step."""

MOST_GROUPS = 48
"""A graph of more units than this is ranked by larger parts: each costs a quantised graph."""

C = TypeVar("C")


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins; ``total`` is 0 where nobody knows how many there will be."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a metric may lose.

    Attributes:
        metric: Its name, for messages.
        max_drop: Most that it may be below the fp32 graph's, in the metric's own unit.
        reference: The fp32 graph's.

    Raises:
        InvalidConfig: The drop is no number from 0 to 2, or the fp32 graph's metric is none.
    """

    metric: str
    max_drop: float
    reference: float

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 2:
            raise InvalidConfig(f"max_drop must be 0 to 2 (0.01 is a point), not {self.max_drop}")
        if not math.isfinite(self.reference):
            raise InvalidConfig(
                f"the fp32 graph's own {self.metric} is {self.reference}: there is nothing to hold "
                "a quantised graph against"
            )

    def holds(self, score: float) -> bool:
        """Whether a graph's metric is good enough; NaN is not."""
        # A thousandth of the smallest budget anyone gives, for sums in another order.
        return score >= self.reference - self.max_drop - 1e-9


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way back to float.

    Attributes:
        groups: Returned in this step.
        errors: Of the outputs, with each of these groups alone quantised.
        score: The metric after it.
        gained: How much it is above the step before.
    """

    groups: tuple[str, ...]
    errors: tuple[float, ...]
    score: float
    gained: float


@dataclass(frozen=True, slots=True)
class Passed(Generic[C]):
    """A graph that is within its budget.

    Attributes:
        candidate: The graph.
        score: Its metric.
        first: The metric before any unit was returned.
        steps: What was returned, in order; empty if nothing had to be.
        kept: The units that are in float again.
    """

    candidate: C
    score: float
    first: float
    steps: tuple[Step, ...]
    kept: frozenset[str]


class Trial(Protocol[C]):
    """What the gate tries graphs with."""

    def make(self, keep_float: frozenset[str]) -> C:
        """Quantises, with these units in float."""

    def units(self, candidate: C) -> Collection[str]:
        """Those that are quantised in it."""

    def score(self, candidate: C) -> float:
        """The metric, on all the data."""

    def error(self, candidate: C) -> float:
        """How far the outputs are from the fp32 graph's, on a small sample."""

    def saved(self, candidate: C) -> int:
        """Bytes that it is smaller than the fp32 graph."""

    def discard(self, candidate: C) -> None:
        """The graph is not needed any more."""


class Gate(Generic[C]):
    """Holds a graph against a budget, and brings it within.

    Args:
        trial: Makes and measures graphs.
        units: Those that can be returned to float, in the graph's order.
        budget: What may be lost.
        progress: Told what begins.
    """

    def __init__(
        self,
        trial: Trial[C],
        units: Sequence[str],
        budget: Budget,
        progress: Progress | None = None,
    ) -> None:
        self._trial = trial
        self._units = tuple(units)
        self._budget = budget
        self._say = progress or _say_nothing

    def run(self) -> Passed[C]:
        """Quantises until the budget holds.

        Raises:
            AccuracyGateFailed: It does not hold, whatever is returned to float.
        """
        self._say("quantising", 0, 0)
        candidate = self._trial.make(frozenset())
        self._say(f"measuring {self._budget.metric}", 0, 0)
        first = self._trial.score(candidate)
        if self._budget.holds(first):
            return Passed(candidate, first, first, (), frozenset())
        quantised = self._trial.units(candidate)
        self._trial.discard(candidate)
        return self._return_units([unit for unit in self._units if unit in quantised], first)

    def _return_units(self, units: Sequence[str], first: float) -> Passed[C]:
        ranking = self._ranked(units)
        steps: list[Step] = []
        kept: frozenset[str] = frozenset()
        score = first
        for names in _portions(list(ranking)[:-1]):  # the last is all that is left to quantise
            before = score
            kept |= {unit for name in names for unit in ranking[name][1]}
            self._say(f"returning {', '.join(names)} to float", len(kept), len(units))
            candidate = self._trial.make(kept)
            score = self._trial.score(candidate)
            errors = tuple(ranking[name][0] for name in names)
            steps.append(Step(tuple(names), errors, score, score - before))
            if self._budget.holds(score):
                return Passed(candidate, score, first, tuple(steps), kept)
            self._trial.discard(candidate)
        raise AccuracyGateFailed(self._failure(first, steps))

    def _ranked(self, all_units: Sequence[str]) -> dict[str, tuple[float, tuple[str, ...]]]:
        """Groups by name, the most harmful first: their error when alone, and their units."""
        groups = grouped(all_units)
        errors, saved = {}, {}
        for done, (name, units) in enumerate(groups.items()):
            self._say(f"ranking {name}", done, len(groups))
            candidate = self._trial.make(frozenset(all_units) - set(units))
            error = self._trial.error(candidate)
            # What is not even a number is the worst there is.
            errors[name] = error if math.isfinite(error) else math.inf
            saved[name] = self._trial.saved(candidate)
            self._trial.discard(candidate)
        least = max(1.0, statistics.median(saved.values())) if saved else 1.0
        # Stable: the graph's order in ties.
        order = sorted(errors, key=lambda name: -errors[name] / max(saved[name], least))
        return {name: (errors[name], groups[name]) for name in order}

    def _failure(self, first: float, steps: Sequence[Step]) -> str:
        budget = self._budget
        best = max((step.score for step in steps if math.isfinite(step.score)), default=None)
        tried = (
            f"returning layers to float brought it to {best:.6f} at best"
            if best is not None
            else "it has no layers of which some could be returned to float"
        )
        return (
            f"{budget.metric} falls from {budget.reference:.6f} to {first:.6f}, more than the "
            f"budget of {budget.max_drop:g}, and {tried}: nothing was written; try another recipe, "
            "more calibration data, or a wider budget"
        )


def grouped(units: Sequence[str], most: int = MOST_GROUPS) -> dict[str, tuple[str, ...]]:
    """Units in groups that are ranked and returned together: single ones if they are few.

    Else those that share their names up to some depth: the parts of a transformer layer
    (``encoder.layer.3.attention``), then whole layers.

    Args:
        units: In the graph's order.
        most: Groups that may be.
    """
    depths = range(max((unit.count(".") for unit in units), default=0) + 1, 0, -1)
    for depth in depths:
        groups: dict[str, list[str]] = {}
        for unit in units:
            groups.setdefault(".".join(unit.split(".")[:depth]), []).append(unit)
        if len(groups) <= most:
            break
    return {name: tuple(members) for name, members in groups.items()} if units else {}


def _portions(names: list[str]) -> Iterator[list[str]]:
    count, done, step = 1, 0, 0
    while done < len(names):
        yield names[done : done + count]
        done += count
        step += 1
        count = 1 if step < SINGLES else count * 2


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
