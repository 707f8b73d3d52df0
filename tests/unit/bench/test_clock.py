"""When warm-up ends, and how many samples there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_tx.bench import clock


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds that calls are made to take, on a clock that only they move."""
    now = [0]
    monkeypatch.setattr(clock, "perf_counter_ns", lambda: now[0])
    return now


def calling(now: list[int], costs: Iterator[int]) -> clock.Call:
    def call() -> None:
        now[0] += next(costs)

    return call


def forever(cost: int) -> Iterator[int]:
    while True:
        yield cost


def test_warm_up_ends_once_two_blocks_agree(spent: list[int]) -> None:
    def costs() -> Iterator[int]:
        for block in (1000, 500, 200, 199):
            yield from [block] * 10

    assert clock.warm_up(calling(spent, costs())) == clock.Warm(40, True)


def test_what_never_is_steady_is_said(spent: list[int]) -> None:
    def costs() -> Iterator[int]:
        cost = 1.0
        while True:
            cost *= 1.1
            for _ in range(10):
                yield int(cost * 1000)

    assert clock.warm_up(calling(spent, costs())) == clock.Warm(300, False)


def test_least_count_and_least_time_both_hold(spent: list[int]) -> None:
    assert len(clock.until(calling(spent, forever(10)), 50, 100)) == 50
    assert len(clock.until(calling(spent, forever(10)), 5, 1000)) == 100


def test_passes_are_whole(spent: list[int]) -> None:
    calls = [calling(spent, forever(cost)) for cost in (1, 2, 3)]
    assert clock.passes(calls, 4, 0) == [1, 2, 3, 1, 2, 3]
