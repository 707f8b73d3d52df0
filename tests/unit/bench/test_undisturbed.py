"""Which calls count for a p50, and what it then is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_tx.bench import stretches
from edge_tx.bench.probe import Probe, slower
from edge_tx.device import hardware_threads
from edge_tx.report import ReportRow, Stretch
from edge_tx.undisturbed import (
    comparable,
    counted,
    floor_among,
    floor_of,
    is_undisturbed,
    kept,
    measurements,
    p50_ns,
    settled,
)

FULL = Stretch(0, (100, 100), (50,))
ROW = ReportRow("g", "fake", "fp32", 2, 1, 0, 0)


def fast(calls: int) -> Stretch:
    return replace(FULL, calls=calls)


def shared(calls: int) -> Stretch:
    """While another machine computes on the second thread's core."""
    return Stretch(calls, (100, 180), (50,))


def apart(calls: int) -> Stretch:
    """While the two threads share no cache."""
    return Stretch(calls, (100, 100), (130,))


class TestStretches:
    def test_the_floor_is_the_fastest_of_each_piece_of_work(self) -> None:
        found = floor_of([Stretch(3, (100, 180), (70,)), Stretch(9, (170, 100), (50,))])
        assert found == FULL
        assert floor_of([]) is None

    @pytest.mark.parametrize(
        ("stretch", "calm"),
        [
            (fast(1), True),
            (Stretch(1, (140, 110), (70,)), True),
            (shared(1), False),
            (apart(1), False),
        ],
    )
    def test_what_is_undisturbed(self, stretch: Stretch, calm: bool) -> None:
        assert is_undisturbed(stretch, FULL) is calm

    def test_every_call_of_a_stretch_is_judged_alike(self) -> None:
        assert kept((1, 2, 3, 4), [fast(1), shared(2), fast(1)], FULL) == (True, False, False, True)
        assert kept((1, 2), (), None) == (True, True)


class TestP50:
    def test_inputs_count_alike_however_often_each_was_undisturbed(self) -> None:
        # Inputs of 10, 20 and 90; the short one is undisturbed most often.
        samples = (10, 20, 90, 10, 40, 180, 10, 40, 180)
        watched = [fast(3), fast(1), shared(2), fast(1), shared(2)]
        assert p50_ns(samples, watched, 3, FULL) == 20

    def test_one_slow_call_at_the_edge_of_two_lengths_does_not_move_it(self) -> None:
        samples = (10, 90) * 9 + (70, 90)
        assert p50_ns(samples, (), 2) == 10

    def test_how_long_a_call_took_decides_nothing(self) -> None:
        assert p50_ns((10, 99, 99), [shared(1), fast(2)], 1, FULL) == 99

    def test_an_input_without_undisturbed_calls_counts_with_the_least_disturbed(self) -> None:
        worse = Stretch(1, (100, 300), (50,))
        assert p50_ns((40, 30, 50), [shared(1), worse, worse], 1, FULL) == 40

    def test_without_a_look_at_the_processor_all_calls_count(self) -> None:
        assert p50_ns((5, 1, 3)) == 3


class TestMeasurements:
    row = replace(
        ROW,
        samples_ns=(30,) * 4,
        stretches=(fast(1), shared(3)),
        repeats_ns=((10,) * 4, (12,) * 4),
        repeats_stretches=((fast(4),), (fast(3), apart(1))),
    )

    def test_the_quiet_ones_count(self) -> None:
        found = measurements(self.row, FULL)
        assert [(one.p50_ns, one.share) for one in found] == [(30, 0.25), (10, 1.0), (12, 0.75)]
        assert [one.p50_ns for one in counted(found)] == [10, 12]

    def test_of_none_that_is_quiet_the_least_disturbed(self) -> None:
        found = measurements(replace(self.row, repeats_ns=(), repeats_stretches=()), FULL)
        assert counted(found) == found

    def test_rows_are_settled_by_what_was_fastest_in_any_with_the_same_threads(self) -> None:
        slow = replace(ROW, graph="h", samples_ns=(30, 30), stretches=(shared(2),))
        alone = replace(slow, graph="i", threads=1)
        rows = [self.row, slow, alone]
        assert floor_among(rows, 2) == FULL
        found = settled(rows)
        assert [(row.p50_ns, row.undisturbed) for row in found] == [(11, 1.0), (30, 0.0), (30, 1.0)]

    def test_what_is_compared_lies_around_the_p50(self) -> None:
        # Two inputs, of 10 and 40; the disturbed pass is left out.
        row = replace(
            ROW,
            inputs=2,
            samples_ns=(10, 40, 11, 44, 30, 99),
            stretches=(fast(4), shared(2)),
        )
        assert p50_ns(row.samples_ns, row.stretches, 2, FULL) == 10
        assert comparable(row, FULL) == pytest.approx([10 / 1.05, 11 / 1.05] * 2, rel=0.05)
        assert comparable(ROW, FULL) == []

    def test_rows_without_samples_stay_as_they_are(self) -> None:
        assert settled([ROW]) == [ROW]


class _Machine:
    """A clock that calls move, and a processor that is fast or slow."""

    def __init__(self, readings: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
        self.now = 0
        self.readings = readings

    def call(self, cost: int) -> Callable[[], None]:
        def run() -> None:
            self.now += cost

        return run

    def read(self) -> Any:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


QUIET = ((100,), ())
SLOW = ((200,), ())


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Machine]:
    def make(*readings: tuple[tuple[int, ...], tuple[int, ...]]) -> _Machine:
        machine = _Machine(list(readings))
        monkeypatch.setattr("edge_tx.bench.clock.perf_counter_ns", lambda: machine.now)
        return machine

    return make


class TestRun:
    def test_it_ends_with_whole_passes(self, on: Callable[..., _Machine]) -> None:
        machine = on(QUIET)
        calls = [machine.call(cost) for cost in (1, 2, 3)]
        found = stretches.run(calls, 4, 0, None)
        assert found.samples_ns == [1, 2, 3, 1, 2, 3]
        assert found.stretches == []

    def test_stretches_cover_all_calls(self, on: Callable[..., _Machine]) -> None:
        machine = on(QUIET)
        calls = [machine.call(4_000_000), machine.call(1_000_000)]
        found = stretches.run(calls, 10, 0, machine, None)  # type: ignore[arg-type]
        assert sum(one.calls for one in found.stretches) == len(found.samples_ns) == 10

    def test_disturbed_calls_are_made_up_for(self, on: Callable[..., _Machine]) -> None:
        machine = on(SLOW, SLOW, SLOW, QUIET)
        found = stretches.run([machine.call(1000)], 5, 5000, machine, FLOOR)  # type: ignore[arg-type]
        calm = [is_undisturbed(one, FLOOR) for one in found.stretches]
        assert calm == [False, False, False, True]
        assert len(found.samples_ns) == 20

    def test_patience_ends(self, on: Callable[..., _Machine]) -> None:
        machine = on(SLOW)
        found = stretches.run([machine.call(1000)], 5, 5000, machine, FLOOR)  # type: ignore[arg-type]
        assert len(found.samples_ns) == 5 * stretches.PATIENCE


FLOOR = Stretch(0, (100,), ())


def test_a_look_at_this_processor() -> None:
    cpus = hardware_threads(2)
    probe = Probe.of(cpus)
    if probe is None:
        pytest.skip("threads cannot be bound here")
    loops, handovers = probe.read()
    assert len(loops) == len(cpus)
    assert len(handovers) == len(cpus) - 1
    assert min(*loops, *handovers, 1) > 0
    assert Probe.of(()) is None
    assert slower(((1, 5), (3,)), ((2, 4), (1,))) == ((2, 5), (3,))
