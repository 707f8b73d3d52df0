"""The Pareto front, and who gets which verdict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_tx.optimizing.front import Front, Point, dominators

COSTS = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=24)


# Tenths of a point: what metrics over a few thousand rows can tell apart.
POINTS = st.integers(-100, 500).map(lambda thousandths: thousandths / 1000)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    no_worse = all(a <= b for a, b in zip(one, other, strict=True))
    return no_worse and one != other


@given(COSTS)
def test_nothing_on_the_front_is_dominated_and_all_else_is(
    costs: list[tuple[float, ...]],
) -> None:
    found = dominators(costs)
    front = {place for place, by in enumerate(found) if by is None}
    assert bool(front) == bool(costs)
    for place in front:
        assert not any(dominates(other, costs[place]) for other in costs)
    for place, by in enumerate(found):
        if by is not None:
            assert by in front
            assert dominates(costs[by], costs[place]) or (costs[by] == costs[place] and by < place)


@given(st.lists(st.tuples(*[st.integers(0, 3).map(float)] * 3), max_size=12))
def test_it_holds_in_three_dimensions(costs: list[tuple[float, ...]]) -> None:
    for place, by in enumerate(dominators(costs)):
        beaten = any(dominates(other, costs[place]) for other in costs)
        twin = costs[place] in costs[:place]
        assert (by is not None) == (beaten or twin)


def point(kept: float, drop: float, ns: float, recipe: str = "") -> Point:
    return Point(kept, "onnx", recipe, 1 - drop, drop, {"latency": ns})


@given(
    st.lists(st.tuples(POINTS, st.floats(1e5, 1e8)), min_size=1, max_size=12),
    POINTS.filter(lambda drop: drop >= 0),
)
def test_the_best_is_on_the_budget_and_as_cheap_as_any(
    found: list[tuple[float, float]], max_drop: float
) -> None:
    points = [point(1 - i / 100, drop, ns) for i, (drop, ns) in enumerate(found)]
    front = Front.of(points, max_drop, "latency")
    holding = [p for p in points if p.drop is not None and p.drop <= max_drop]
    assert [place.point for place in front.places] == points
    assert (front.best is None) == (not holding)
    if front.best is not None:
        assert front.best.drop is not None
        assert front.best.drop <= max_drop + 1e-12
        assert front.best.costs["latency"] <= 1.04 * min(p.costs["latency"] for p in holding)


def test_every_point_says_why() -> None:
    points = [
        point(1, 0.0, 8e6),
        point(1, 0.002, 4e6, "dynamic_w8"),
        point(1, 0.004, 9e6, "weight_w8"),
        point(0.5, 0.03, 2e6),
        Point(1, "onnx", "static_w8a8", problem="accuracy falls", over=True),
        Point(1, "tflite", problem="it cannot be converted"),
        Point(0.4, problem="50% is over the budget by far already", tried=False),
    ]
    front = Front.of(points, 0.01, "latency")
    assert [(place.verdict, place.why) for place in front.places] == [
        ("front", ""),
        ("best", ""),
        ("dominated", "by whole onnx-fp32"),
        ("over budget", "it falls by 0.0300"),
        ("over budget", "accuracy falls"),
        ("failed", "it cannot be converted"),
        ("not tried", "50% is over the budget by far already"),
    ]
    assert front.best is points[1]


def test_of_equal_costs_the_more_accurate_one_is_kept() -> None:
    near = [point(1, 0.009, 4.00e6, "dynamic_w8"), point(1, 0.0, 4.05e6)]
    assert Front.of(near, 0.01, "latency").best is near[1]
