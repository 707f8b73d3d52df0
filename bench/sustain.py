"""Latency over a long time: what heat and quotas do to a device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from time import perf_counter_ns

from edge_tx.bench.clock import Call, timed
from edge_tx.bench.conditions import read_conditions
from edge_tx.report import Window
from edge_tx.stats import LatencyStats

__all__ = ["WINDOWS", "run"]

WINDOWS = 60
"""Windows of a run, each as long as the others."""


def run(calls: Sequence[Call], duration_ns: int, windows: int = WINDOWS) -> tuple[Window, ...]:
    """Calls one after the other for a time, without a pause.

    Args:
        calls: Made in turn.
        duration_ns: For how long.
        windows: That it is cut into; a window that no call ended in is left out.
    """
    turns = cycle(calls)
    begin = perf_counter_ns()
    found = []
    for number in range(windows):
        end = begin + duration_ns * (number + 1) // windows
        start = perf_counter_ns() - begin
        samples: list[int] = []
        while perf_counter_ns() < end:
            samples.append(timed(next(turns)))
        if samples:
            now = read_conditions()
            stats = LatencyStats.of(samples)
            found.append(Window(start, stats, now.temperature_c, now.frequency_mhz))
    return tuple(found)
