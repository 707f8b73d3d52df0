"""The walk: what it tries, in which order, and that nothing is done twice.

The workshop here makes models of numbers instead of weights: the walk sees no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_tx.optimizing.aims import AIMS
from edge_tx.optimizing.front import Front, Point
from edge_tx.optimizing.journal import Journal, Made, Timed
from edge_tx.optimizing.plan import Branch, Plan
from edge_tx.optimizing.seam import Begun, Say
from edge_tx.optimizing.walk import Walk
from edge_tx.tuning import Measurement

SPEEDS = {"onnx": 1.0, "openvino": 0.9, "tflite": 3.0}
RECIPES = {"dynamic_w8": (0.5, 0.004), "static_w8a8": (0.4, 0.02)}


class Numbers:
    """A model whose time and score follow from a few numbers; can be made to stop.

    Args:
        drops: By share, what pruning costs in score.
        stop_at: Number of the piece of work that is interrupted.
    """

    def __init__(self, drops: Mapping[float, float], stop_at: int = 0) -> None:
        self.done: list[str] = []
        self._drops = {1.0: 0.0, **drops}
        self._stop_at = stop_at
        self._drift = 1.0

    def _work(self, name: str) -> None:
        if len(self.done) + 1 == self._stop_at:
            raise KeyboardInterrupt
        self.done.append(name)

    def _drop(self, kept: float) -> float:
        return self._drops[kept]

    def prune(self, kept: float, say: Say) -> Made:
        self._work(f"prune {kept:g}")
        return Made(0.9 - self._drop(kept), 0.9)

    def recover(self, kept: float, say: Say) -> Made:
        self._work(f"recover {kept:g}")
        self._drops[kept] /= 4
        return Made(0.9 - self._drop(kept), 0.9)

    def export(self, branch: Branch, reference: Branch, say: Say) -> Made:
        self._work(f"export {branch.kept:g} {branch.backend}")
        if branch.backend == "broken":
            return Made(problem="it cannot be converted")
        return Made(0.9 - self._drop(branch.kept), 0.9, int(9e7 * branch.kept))

    def quantize(
        self, branch: Branch, recipe: str, budget: float, reference: Branch, say: Say
    ) -> Made:
        self._work(f"quantize {branch.kept:g} {branch.backend} {recipe}")
        loss = RECIPES[recipe][1]
        if loss > budget:
            return Made(problem=f"falls by {loss}, more than {budget:g}", over=True)
        return Made(0.9 - self._drop(branch.kept) - loss, 0.9, int(2e7 * branch.kept))

    def measure(
        self, branch: Branch, recipes: Sequence[str], reference: Branch, say: Say
    ) -> Mapping[str, Timed]:
        self._work(f"measure {branch.kept:g} {branch.backend} {','.join(recipes)}")

        def measured(one: Branch, recipe: str) -> Measurement:
            ns = 1e6 * one.kept * SPEEDS[one.backend] * RECIPES.get(recipe, (1.0, 0))[0]
            slow = round(ns * self._drift)
            return Measurement("g", one.backend, slow, slow, 1.0, 10**8, 1)

        found = {r: Timed(measured(branch, r), measured(reference, "")) for r in recipes}
        self._drift *= 1.5  # the machine slows down; what is measured beside it does, too
        return found


def plan(**changes: Any) -> Plan:
    both = ("dynamic_w8", "static_w8a8")
    settings: dict[str, Any] = {
        "aim": AIMS["latency"],
        "max_drop": 0.01,
        "recipes": {"onnx": both, "openvino": both},
        "levels": (0.8, 0.6, 0.4),
        "metric": "accuracy",
    }
    return Plan(**{**settings, **changes})


def walk(folder: Path, workshop: Numbers, asked: Plan) -> tuple[tuple[Point, ...], list[Begun]]:
    told: list[Begun] = []
    journal = Journal(folder, {"drop": str(asked.max_drop)})
    return Walk(asked, workshop, journal, told.append).run(), told


MILD = {0.8: 0.002, 0.6: 0.005, 0.4: 0.05}


def test_the_whole_model_first_then_from_mild_to_strong(tmp_path: Path) -> None:
    workshop = Numbers(MILD)
    points, _ = walk(tmp_path, workshop, plan())
    models = [p.kept for p in points if p.tried]
    assert models == sorted(models, reverse=True)
    assert workshop.done[0] == "export 1 onnx"
    front = Front.of(points, 0.01, "latency")
    assert front.best is not None
    assert front.best.name == "60% openvino-dynamic_w8"
    assert front.best.costs["latency"] == pytest.approx(0.6 * 0.9 * 0.5 * 1e6, rel=1e-3)


def test_a_pruned_model_over_the_budget_is_not_exported(tmp_path: Path) -> None:
    workshop = Numbers({0.8: 0.015, 0.6: 0.05, 0.4: 0.2})
    points, _ = walk(tmp_path, workshop, plan())
    assert "prune 0.6" in workshop.done  # 0.015 may be noise
    assert "prune 0.4" not in workshop.done  # 0.05 is not
    assert not any(done.startswith(("export 0.8", "export 0.6")) for done in workshop.done)
    assert [p.problem for p in points if not p.tried] == ["60% is over the budget by far already"]


def test_what_failed_on_the_whole_model_or_was_slow_is_not_tried_again(tmp_path: Path) -> None:
    workshop = Numbers(MILD)
    recipes = {"onnx": ("dynamic_w8", "static_w8a8"), "tflite": ("dynamic_w8",)}
    points, _ = walk(tmp_path, workshop, plan(recipes=recipes, levels=(0.8,)))
    assert "quantize 1 onnx static_w8a8" in workshop.done
    assert "quantize 0.8 onnx static_w8a8" not in workshop.done
    assert "export 0.8 tflite" not in workshop.done
    reasons = {p.name: p.problem for p in points if not p.tried}
    assert reasons["80% onnx-static_w8a8"] == "it did not work on the whole model"
    assert "times onnx-dynamic_w8's latency" in reasons["80% tflite-fp32"]


def test_the_gate_gets_what_pruning_left(tmp_path: Path) -> None:
    points, _ = walk(tmp_path, Numbers({0.8: 0.008}), plan(levels=(0.8,)))
    found = {p.name: p for p in points}
    assert found["80% openvino-dynamic_w8"].over
    assert "more than 0.002" in found["80% openvino-dynamic_w8"].problem


def test_recovery_comes_before_the_budget_is_looked_at(tmp_path: Path) -> None:
    workshop = Numbers({0.4: 0.02})
    points, _ = walk(tmp_path, workshop, plan(levels=(0.4,), recover=5.0))
    assert workshop.done.index("recover 0.4") < workshop.done.index("export 0.4 onnx")
    drops = [p.drop for p in points if p.kept == 0.4 and not p.recipe]
    assert drops == pytest.approx([0.005, 0.005])


def test_a_backend_that_fails_does_not_lose_the_others(tmp_path: Path) -> None:
    recipes: dict[str, tuple[str, ...]] = {"broken": (), "onnx": ("dynamic_w8",)}
    points, _ = walk(tmp_path, Numbers(MILD), plan(recipes=recipes))
    front = Front.of(points, 0.01, "latency")
    assert front.places[0].verdict == "failed"
    assert front.best is not None
    assert front.best.name == "60% onnx-dynamic_w8"


@pytest.mark.parametrize("stop_at", range(1, 19))
def test_interrupted_anywhere_it_goes_on_to_the_same_front(tmp_path: Path, stop_at: int) -> None:
    whole = Numbers(MILD)
    points, _ = walk(tmp_path / "whole", whole, plan())
    first, second = Numbers(MILD, stop_at), Numbers(MILD)
    if stop_at <= len(whole.done):
        with pytest.raises(KeyboardInterrupt):
            walk(tmp_path / "killed", first, plan())
    else:
        walk(tmp_path / "killed", first, plan())
    again, told = walk(tmp_path / "killed", second, plan())
    assert first.done + second.done == whole.done
    assert [round(p.costs.get("latency", 0)) for p in again] == pytest.approx(
        [round(p.costs.get("latency", 0)) for p in points], abs=2
    )
    assert [(p.name, p.drop, p.problem) for p in again] == [
        (p.name, p.drop, p.problem) for p in points
    ]
    assert sum(begun.recalled for begun in told) == len(first.done)


def test_when_the_time_is_over_no_step_begins_but_what_was_made_is_measured(
    tmp_path: Path,
) -> None:
    asked = plan(minutes=1.0)
    workshop = Numbers(MILD)
    journal = Journal(tmp_path, {})
    journal.add_made("export/1/onnx", workshop.export(Branch(1.0, "onnx"), Branch(1.0, "onnx"),
                                                      print), 90.0)  # fmt: skip
    points = Walk(asked, workshop, journal, lambda begun: None).run()
    assert workshop.done == ["export 1 onnx", "measure 1 onnx "]
    assert points[0].costs["latency"] == pytest.approx(1e6)
    later = {p.name: p.problem for p in points[1:]}
    assert set(later) == {"whole openvino-fp32", "80%", "60%", "40%"}
    assert set(later.values()) == {"the 1 minutes are over"}
