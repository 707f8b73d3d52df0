"""What the harness adds to a call."""

from __future__ import annotations

import pytest

from edge_tx.bench import clock, overhead


def test_what_the_harness_adds_is_the_difference_turn_by_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0]

    def read() -> int:
        now[0] += 3  # a read of the clock takes time as well
        return now[0]

    def call() -> None:
        now[0] += 1000

    monkeypatch.setattr(clock, "perf_counter_ns", read)
    found = overhead.beside(call, calls=100, turns=3)
    assert found.bare == pytest.approx(1000, rel=0.001)
    assert found.added == pytest.approx(6, rel=0.01)
