"""What is tried, and in which order: good points early, hopeless ones not at all.

The whole model comes first, in every backend and precision, so that there is something to keep
after minutes. Then pruning, from mild to strong. Three rules save time:

- A pruned model that is over the budget is not exported, and once one is over it by far
  (:attr:`~edge_tx.optimizing.plan.Plan.far`), no stronger pruning is tried.
- A backend with a recipe that did not work on the whole model, or cost there more than
  :data:`HOPELESS` times the best one, is not tried on a pruned one: what pruning saves, it saves
  everywhere.
- The gate of a quantisation gets what pruning left of the budget.

The walk knows nothing of torch, vendors or files: a
:class:`~edge_tx.optimizing.seam.Workshop` does the work, and the journal remembers it. Where the
journal has a step already, the step is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from edge_tx.optimizing.front import Point, holds
from edge_tx.optimizing.journal import Journal, Made, Timed
from edge_tx.optimizing.plan import Branch, Plan
from edge_tx.optimizing.seam import Begun, Progress, Workshop

__all__ = ["HOPELESS", "Walk"]

HOPELESS = 1.5
"""Times the cost of the whole model's best graph above which a kind of graph is given up."""


class _TimeIsOver(Exception):
    """No further step may begin."""


class Walk:
    """One walk.

    Args:
        plan: What is asked for.
        workshop: Does the work.
        journal: Remembers it.
        tell: Told what begins and what came of it.
    """

    def __init__(self, plan: Plan, workshop: Workshop, journal: Journal, tell: Progress) -> None:
        self.plan = plan
        self.reference: Branch | None = None
        self._workshop = workshop
        self._journal = journal
        self._tell = tell
        self._points: list[Point] = []

    def run(self) -> tuple[Point, ...]:
        """Tries all that is worth trying, as long as there is time.

        Returns:
            The points in the order they were tried; those left out are among them.
        """
        shares = (1.0, *self.plan.levels)
        for place, kept in enumerate(shares):
            try:
                stop = self._model(kept)
            except _TimeIsOver:
                stop = f"the {self.plan.minutes:g} minutes are over"
                self._leave_out_backends(kept, stop)
            if stop:
                reached = {point.kept for point in self._points}
                later = [share for share in shares[place:] if share not in reached]
                self._points += [Point(share, problem=stop, tried=False) for share in later]
                break
        return tuple(self._points)

    # ------------------------------------------------------------------------------ one model

    def _model(self, kept: float) -> str:
        """Tries a model in all backends; returns why no smaller one should be, if so."""
        if kept < 1:
            made = self._smaller(kept)
            if made.problem or (made.drop is not None and made.drop > self.plan.max_drop + 1e-12):
                point = Point(kept, "", "", made.score, made.drop, {}, made.over, made.problem)
                self._points.append(point)
                return self._reason_to_stop(point)
        for backend in self.plan.recipes:
            self._branch(Branch(kept, backend))
        return "" if self.reference else "the whole model could not be exported"

    def _smaller(self, kept: float) -> Made:
        model = f"{kept:.0%} model"
        made = self._made(
            f"prune/{kept:g}", f"{model}, prune", lambda say: self._workshop.prune(kept, say)
        )
        if made.problem or self.plan.recover is None:
            return made
        return self._made(
            f"recover/{kept:g}",
            f"{model}, distil",
            lambda say: self._workshop.recover(kept, say),
        )

    def _reason_to_stop(self, point: Point) -> str:
        if point.drop is None:
            return f"{point.model} could not be made"
        if point.drop > self.plan.far:
            return f"{point.model} is over the budget by far already"
        return ""

    # ----------------------------------------------------------------------------- one branch

    def _branch(self, branch: Branch) -> None:
        recipes = self.plan.recipes[branch.backend]
        verdicts = {recipe: self._hopeless(branch, recipe) for recipe in ("", *recipes)}
        if all(verdicts.values()):
            self._leave_out(branch, {"": verdicts[""]})
            return
        reference = self.reference or branch
        base = self._made(
            _key("export", branch),
            f"{_words(branch)}, export",
            lambda say: self._workshop.export(branch, reference, say),
        )
        made = {"": base}
        if base.problem:
            self._add(branch, made)
            return
        self.reference = reference
        try:
            wanted = [recipe for recipe in recipes if not verdicts[recipe]]
            for recipe in wanted if holds(_point(branch, "", base), self.plan.max_drop) else ():
                made[recipe] = self._quantized(branch, recipe, base, reference)
        finally:  # what was made is measured even where the time is over
            self._measure(branch, made, reference)
            self._add(branch, made)
        self._leave_out(branch, {recipe: verdicts[recipe] for recipe in recipes})

    def _quantized(self, branch: Branch, recipe: str, base: Made, reference: Branch) -> Made:
        budget = max(0.0, self.plan.max_drop - max(0.0, base.drop or 0.0))
        return self._made(
            _key("quantize", branch, recipe),
            f"{_words(branch)}, {recipe}",
            lambda say: self._workshop.quantize(branch, recipe, budget, reference, say),
        )

    def _measure(self, branch: Branch, made: Mapping[str, Made], reference: Branch) -> None:
        graphs = [recipe for recipe, one in made.items() if not one.problem]
        missing = [r for r in graphs if _key("measure", branch, r) not in self._journal.timed]
        step = f"{_words(branch)}, measure"
        if missing:
            self._tell(Begun(step))
            begun = time.perf_counter()
            found = self._workshop.measure(branch, missing, reference, self._teller(step))
            self._journal.add_timed(
                {_key("measure", branch, recipe): timed for recipe, timed in found.items()},
                time.perf_counter() - begun,
            )
        points = [self._priced(_point(branch, recipe, made[recipe])) for recipe in graphs]
        told = ", ".join(f"{point.graph} {self._cost(point)}" for point in points)
        self._tell(Begun(step, result=told, recalled=not missing))

    def _cost(self, point: Point) -> str:
        aim = self.plan.aim
        return aim.show(point.costs[aim.name]) if aim.name in point.costs else "failed"

    def _add(self, branch: Branch, made: Mapping[str, Made]) -> None:
        self._points += [self._priced(_point(branch, r, one)) for r, one in made.items()]

    def _leave_out(self, branch: Branch, reasons: Mapping[str, str]) -> None:
        self._points += [
            Point(branch.kept, branch.backend, recipe, problem=why, tried=False)
            for recipe, why in reasons.items()
            if why
        ]

    def _leave_out_backends(self, kept: float, why: str) -> None:
        reached = {point.backend for point in self._points if point.kept == kept}
        for backend in self.plan.recipes if reached else ():
            if backend not in reached:
                self._leave_out(Branch(kept, backend), {"": why})

    def _priced(self, point: Point) -> Point:
        branch = Branch(point.kept, point.backend)
        timed = self._journal.timed.get(_key("measure", branch, point.recipe))
        first = self._first_reference()
        if timed is None or first is None:
            return point
        if timed.graph.problem:
            return replace(point, problem=timed.graph.problem, costs={})
        return replace(point, costs={**point.costs, **_costs(timed, first)})

    def _first_reference(self) -> Timed | None:
        """The reference as it was first measured: the yardstick of all times."""
        if self.reference is None:
            return None
        return self._journal.timed.get(_key("measure", self.reference, ""))

    # ----------------------------------------------------------------------- what is left out

    def _hopeless(self, branch: Branch, recipe: str) -> str:
        """Why a kind of graph need not be tried on a pruned model; empty if it should be."""
        if branch.kept >= 1:
            return ""
        aim, whole = self.plan.aim, [p for p in self._points if p.kept >= 1 and p.tried]
        kind = (branch.backend, recipe)
        point = next((p for p in whole if (p.backend, p.recipe) == kind), None)
        if point is None:  # not reached before the export failed, or left out itself
            return "it was not made of the whole model"
        if aim.name not in point.costs or not holds(point, self.plan.max_drop):
            return "it did not work on the whole model"
        holding = [p for p in whole if aim.name in p.costs and holds(p, self.plan.max_drop)]
        best = min(holding, key=lambda p: p.costs[aim.name])
        times = point.costs[aim.name] / best.costs[aim.name]
        if times <= HOPELESS:
            return ""
        return f"of the whole model it takes {times:.1f} times {best.graph}'s {aim.name}"

    # ---------------------------------------------------------------------------------- steps

    def _made(self, key: str, step: str, work: Callable[[Callable[[str], None]], Made]) -> Made:
        known = self._journal.made.get(key)
        if known is not None:
            self._tell(Begun(step, result=self._outcome(known), recalled=True))
            return known
        limit = self.plan.minutes
        if limit is not None and self._journal.seconds >= 60 * limit:
            raise _TimeIsOver
        self._tell(Begun(step))
        begun = time.perf_counter()
        made = work(self._teller(step))
        self._journal.add_made(key, made, time.perf_counter() - begun)
        self._tell(Begun(step, result=self._outcome(made)))
        return made

    def _outcome(self, made: Made) -> str:
        if made.problem:
            return f"{'over the budget' if made.over else 'failed'}: {made.problem}"
        if made.score is None or made.drop is None:
            return "done"
        return f"{self.plan.metric} {made.score:.4f} ({round(-made.drop, 4) + 0.0:+.4f})"

    def _teller(self, step: str) -> Callable[[str], None]:
        return lambda detail: self._tell(Begun(step, detail))


def _key(step: str, branch: Branch, recipe: str | None = None) -> str:
    parts = [step, f"{branch.kept:g}", branch.backend, *([] if recipe is None else [recipe])]
    return "/".join(parts)


def _words(branch: Branch) -> str:
    model = "whole model" if branch.kept >= 1 else f"{branch.kept:.0%} model"
    return f"{model}, {branch.backend}"


def _point(branch: Branch, recipe: str, made: Made) -> Point:
    costs = {"size": float(made.size_bytes)} if made.size_bytes else {}
    return Point(
        branch.kept,
        branch.backend,
        recipe,
        made.score,
        made.drop,
        costs,
        made.over,
        made.problem,
    )


def _costs(timed: Timed, yardstick: Timed) -> dict[str, float]:
    return {name: value for name, value in _measured(timed, yardstick) if value is not None}


def _measured(timed: Timed, yardstick: Timed) -> Iterator[tuple[str, float | None]]:
    """Times by the reference's of the same minute: what else the machine did falls out."""
    pairs = [
        (getattr(timed.graph, name), getattr(timed.reference, name), getattr(yardstick.graph, name))
        for name in ("short_ns", "long_ns")
    ]
    if all(None not in pair for pair in pairs):
        (short, long) = (mine / beside * first for mine, beside, first in pairs)
        # As in edge_tx.tuning: short and long texts count alike.
        yield "latency", (short * long) ** 0.5
    yield "memory", timed.graph.peak_rss_bytes
