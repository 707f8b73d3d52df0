"""The gate, tried with graphs whose metric is known from the units that are quantised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.calibration.gate import SINGLES, Budget, Gate, grouped
from edge_tx.errors import AccuracyGateFailed, ExportFailed, InvalidConfig


@dataclass
class Known:
    """Each quantised unit costs the metric so much, and adds so much to the outputs' error."""

    damage: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    base: float = 0.9
    made: list[frozenset[str]] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)
    scored: int = 0

    def make(self, keep_float: frozenset[str]) -> int:
        self.made.append(keep_float)
        self.alive.add(len(self.made) - 1)
        return len(self.made) - 1

    def units(self, candidate: int) -> list[str]:
        return self._quantised(candidate)

    def score(self, candidate: int) -> float:
        self.scored += 1
        return self.base - sum(self.damage[unit] for unit in self._quantised(candidate))

    def error(self, candidate: int) -> float:
        errors = self.errors or self.damage
        return sum(errors[unit] for unit in self._quantised(candidate))

    def saved(self, candidate: int) -> int:
        return sum(self.sizes.get(unit, 100) for unit in self._quantised(candidate))

    def discard(self, candidate: int) -> None:
        self.alive.remove(candidate)

    def _quantised(self, candidate: int) -> list[str]:
        return [unit for unit in self.damage if unit not in self.made[candidate]]


def gate(known: Known, max_drop: float, said: list[str] | None = None) -> Gate[int]:
    def say(step: str, done: int, total: int) -> None:
        assert 0 <= done <= max(done, total)
        if said is not None:
            said.append(step)

    return Gate(known, list(known.damage), Budget("f1", max_drop, known.base), say)


def test_within_the_budget_nothing_is_ranked() -> None:
    known = Known({"a": 0.004, "b": 0.004})
    passed = gate(known, 0.01).run()
    assert passed.score == pytest.approx(0.892)
    assert passed.steps == ()
    assert known.made == [frozenset()]
    assert known.alive == {passed.candidate}


def test_a_metric_that_rises_passes() -> None:
    assert gate(Known({"a": -0.05}), 0.0).run().score == pytest.approx(0.95)


def test_the_most_harmful_units_go_first_and_no_more_than_needed() -> None:
    said: list[str] = []
    known = Known({"a": 0.001, "b": 0.2, "c": 0.002, "d": 0.1})
    passed = gate(known, 0.01, said).run()
    assert passed.kept == {"b", "d"}
    assert [step.groups for step in passed.steps] == [("b",), ("d",)]
    assert [step.gained for step in passed.steps] == pytest.approx([0.2, 0.1])
    assert [step.errors for step in passed.steps] == [(0.2,), (0.1,)]
    assert passed.first == pytest.approx(0.9 - 0.303)
    assert passed.score == pytest.approx(0.897)
    assert known.made[1] == {"b", "c", "d"}  # ranked alone: everything else in float
    assert known.scored == 3  # the full metric only where something is decided
    assert known.alive == {passed.candidate}
    assert "returning b to float" in said


def test_units_that_a_recipe_does_not_touch_are_not_tried() -> None:
    known = Known({"a": 0.2, "b": 0.0})
    units = ["a", "untouched", "b"]
    passed = Gate(known, units, Budget("f1", 0.01, known.base)).run()
    assert passed.kept == {"a"}
    assert known.made == [frozenset(), {"b"}, {"a"}, {"a"}]


def test_the_order_is_the_errors_even_if_they_mislead() -> None:
    known = Known({"a": 0.2, "b": 0.0, "c": 0.0}, errors={"a": 0.1, "b": 0.5, "c": 0.0})
    passed = gate(known, 0.01).run()
    assert [step.groups for step in passed.steps] == [("b",), ("a",)]
    assert [step.gained for step in passed.steps] == pytest.approx([0.0, 0.2])


def test_what_saves_most_is_returned_last_and_what_saves_nothing_not_first() -> None:
    damage = {"embedding": 0.05, "a": 0.03, "b": 0.02, "c": 0.01, "classifier": 0.001}
    known = Known(damage, sizes={"embedding": 5000, "classifier": 1})
    passed = gate(known, 0.052).run()
    assert [step.groups for step in passed.steps] == [("a",), ("b",), ("c",)]
    assert passed.kept == {"a", "b", "c"}


@pytest.mark.parametrize("worst", [math.nan, math.inf])
def test_a_unit_whose_outputs_are_no_numbers_goes_first(worst: float) -> None:
    known = Known({"a": 0.1, "b": 0.3, "c": 0.0}, errors={"a": 9.0, "b": worst, "c": 0.0})
    assert gate(known, 0.15).run().kept == {"b"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"a": 0.1, "b": 0.1, "c": 0.1}, "brought it to 0.800000 at best"),
        ({"a": 0.1}, "no layers of which some could be returned"),
        ({}, "no layers of which some could be returned"),
        ({"a": math.nan, "b": math.nan, "c": 0.1}, "brought it to 0.800000 at best"),
        ({"a": math.nan, "b": math.nan}, "no layers of which some could be returned"),
    ],
)
def test_a_budget_that_never_holds_fails(damage: dict[str, float], message: str) -> None:
    known = Known(damage)
    if not damage:  # it is not the units that hurt
        known.score = lambda candidate: 0.1  # type: ignore[method-assign]
    with pytest.raises(AccuracyGateFailed, match=message) as caught:
        gate(known, 0.01).run()
    assert "budget of 0.01" in str(caught.value)
    assert "nothing was written" in str(caught.value)
    assert known.alive == set()


def test_a_hopeless_graph_is_given_up_after_few_measurements() -> None:
    known = Known({f"unit{i}": 0.01 for i in range(48)})
    with pytest.raises(AccuracyGateFailed):
        gate(known, 0.001).run()
    assert known.scored <= 1 + SINGLES + math.log2(48)


def test_a_quantizer_that_fails_half_way_is_its_own_error() -> None:
    known = Known({"a": 0.1, "b": 0.1})
    make = known.make

    def failing(keep_float: frozenset[str]) -> int:
        if keep_float:
            raise ExportFailed("the vendor's tool failed")
        return make(keep_float)

    known.make = failing  # type: ignore[method-assign]
    with pytest.raises(ExportFailed, match="vendor"):
        gate(known, 0.01).run()


@pytest.mark.parametrize(
    ("max_drop", "reference", "match"),
    [
        (-0.1, 0.9, "max_drop"),
        (math.nan, 0.9, "max_drop"),
        (3.0, 0.9, "max_drop"),
        (0.1, math.nan, "fp32 graph's own f1 is nan"),
        (0.1, -math.inf, "fp32 graph's own"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(
    max_drop: float, reference: float, match: str
) -> None:
    with pytest.raises(InvalidConfig, match=match):
        Budget("f1", max_drop, reference)


@given(
    damage=st.lists(st.floats(0, 0.2), min_size=2, max_size=20),
    max_drop=st.floats(0, 0.5),
)
def test_what_passes_holds_the_budget_and_one_step_less_does_not(
    damage: list[float], max_drop: float
) -> None:
    known = Known({f"unit{i}": value for i, value in enumerate(damage)})
    try:
        passed = gate(known, max_drop).run()
    except AccuracyGateFailed:
        least = min(damage)  # with all but the most harmless unit in float
        assert least > max_drop
        return
    assert passed.score >= known.base - max_drop - 1e-9
    assert passed.score == known.score(passed.candidate)
    scores = [passed.first, *(step.score for step in passed.steps)]
    assert all(score < known.base - max_drop for score in scores[:-1])
    assert len(known.alive) == 1


UNITS = [
    *(
        f"encoder.layer.{i}.{part}"
        for i in range(12)
        for part in ("attention.query", "attention.key", "output.dense", "mlp.up", "mlp.down")
    ),
    "classifier",
]


@pytest.mark.parametrize(
    ("most", "groups"), [(100, 61), (61, 61), (48, 37), (36, 13), (13, 13), (12, 2), (1, 2)]
)
def test_many_units_are_grouped_by_larger_and_larger_parts(most: int, groups: int) -> None:
    found = grouped(UNITS, most)
    assert len(found) == groups
    assert [unit for members in found.values() for unit in members] == UNITS


def test_nothing_is_grouped_of_nothing() -> None:
    assert grouped([]) == {}
