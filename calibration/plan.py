"""What is asked of a quantisation: checked once, before anything slow begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_tx import backends
from edge_tx.backends import Backend
from edge_tx.calibration.recipe import Method, Recipe, parse
from edge_tx.calibration.speed import Verdict
from edge_tx.calibration.target import Target, target
from edge_tx.errors import InvalidConfig

__all__ = ["GOALS", "Data", "Plan", "check_request", "graph_name", "make_plan"]

GOALS = ("speed", "size")

Data = str | os.PathLike[str] | Iterable[Any]
"""A file, or inputs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        jobs: Backends with recipes.
        data: To calibrate on; None for recipes that need none.
        dev: To measure on; None for the calibration data.
        metric: Name of the metric.
        max_drop: Most that it may fall.
        target: The device that graphs are for.
        goal: Why: a graph that is not faster is kept only for its ``"size"``.
        keep: Whether a graph that is not worth it is written all the same.
        samples: Most inputs to calibrate on.
        seed: Of the sample.
        threads: CPU threads to measure with.
        options: Call options of the task.
    """

    jobs: tuple[tuple[Backend, Recipe], ...]
    data: Data | None
    dev: Data | None
    metric: str
    max_drop: float
    target: Target
    goal: str
    keep: bool
    samples: int
    seed: int
    threads: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise InvalidConfig(f"goal must be {' or '.join(GOALS)}, not {self.goal!r}")
        if not 0 <= self.max_drop <= 2:
            raise InvalidConfig(f"max_drop must be 0 to 2 (0.01 is a point), not {self.max_drop}")
        names = [graph_name(row, recipe) for row, recipe in self.jobs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidConfig(f"graph {twice} is asked for twice: quantise once for each")
        check_request([recipe for _, recipe in self.jobs], self.data, self.dev)

    def wants(self, verdict: Verdict | None) -> bool:
        """Whether a graph that passed its gate is to be written.

        Args:
            verdict: None where its speed cannot be measured.
        """
        return verdict is None or verdict.worth or self.goal == "size" or self.keep


def check_request(recipes: Sequence[str | Recipe], data: Data | None, dev: Data | None) -> None:
    """Checks that recipes are ones, and that there is data for them.

    Raises:
        UnknownName: No such recipe or option.
        InvalidConfig: A recipe makes no sense, or data is missing.
    """
    static = next((r for r in map(parse, recipes) if r.method is Method.STATIC), None)
    if static is not None and data is None:
        raise InvalidConfig(
            f"'{static}' takes its ranges from real inputs: give calibration data (a file of a "
            "text a line is enough)"
        )
    if data is None and dev is None:
        raise InvalidConfig(
            "a quantised graph is proven on real inputs: give data to measure it on (a file of a "
            "text a line is enough)"
        )


def graph_name(row: Backend, recipe: Recipe) -> str:
    """What the graph is called in its bundle."""
    return f"{row.name}-{recipe.name}"


def make_plan(
    backend: str | Sequence[str], recipe: str | Recipe | Sequence[str | Recipe], **settings: Any
) -> Plan:
    """Reads what users write.

    Raises:
        UnknownName: No such backend, recipe, option or target.
        InvalidConfig: An option makes no sense, or something is missing.
    """
    names = [backend] if isinstance(backend, str) else list(backend)
    recipes = [recipe] if isinstance(recipe, (str, Recipe)) else list(recipe)
    if not names or not recipes:
        raise InvalidConfig("nothing to do: name at least one backend and one recipe")
    aim = target(settings.pop("target"))
    return Plan(jobs=tuple(_jobs(names, recipes)), target=aim, **settings)


def _jobs(
    names: Sequence[str], recipes: Sequence[str | Recipe]
) -> Iterator[tuple[Backend, Recipe]]:
    read = [parse(recipe) for recipe in recipes]
    for name in names:
        row = backends.find(name)
        for recipe in read:
            yield row, recipe
