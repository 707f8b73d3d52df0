"""How fast the processor is at this moment, by work that has nothing to do with the model.

Two pieces of it, each well under a tenth of a millisecond for each hardware thread:

- a loop of the interpreter, which waits for nothing but the core: it takes 1.6 to 2 times as long
  while another virtual machine computes on the same core, which no counter shows;
- reading two megabytes that the hardware thread before has just read: they come out of the cache
  that both share, or, if the hypervisor has moved the two apart, out of memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

__all__ = ["Probe", "Reading", "slower"]

Reading = tuple[tuple[int, ...], tuple[int, ...]]
"""Loops and handovers in nanoseconds, as :class:`~edge_tx.report.Stretch` names them."""

_TURNS = 2000
# More than a core's own caches hold, and less than those that cores share.
_WORDS = 1 << 18


class Probe:
    """Asks each of some hardware threads.

    Args:
        cpus: Their numbers; this process may run on them.
    """

    def __init__(self, cpus: Sequence[int]) -> None:
        import numpy as np

        self._cpus = tuple(cpus)
        self._memory: Any = np.ones(_WORDS)
        self.read()  # cold

    @classmethod
    def of(cls, cpus: Sequence[int]) -> Probe | None:
        """A probe; None where threads cannot be sent to where they are to run."""
        return cls(cpus) if cpus and hasattr(os, "sched_setaffinity") else None

    def read(self) -> Reading:
        """Asks all of them, on this thread, which may run on all of them again afterwards."""
        loops, handovers = [], []
        try:
            for cpu in self._cpus:
                os.sched_setaffinity(0, (cpu,))
                loops.append(min(_loop(), _loop()))
                handovers.append(self._read())
                self._read()
        finally:
            os.sched_setaffinity(0, self._cpus)
        return tuple(loops), tuple(handovers[1:])

    def _read(self) -> int:
        start = perf_counter_ns()
        self._memory.sum()
        return perf_counter_ns() - start


def slower(one: Reading, other: Reading) -> Reading:
    """Of each piece of work the longer time."""
    return tuple(map(max, one[0], other[0])), tuple(map(max, one[1], other[1]))


def _loop() -> int:
    start = perf_counter_ns()
    total = 0
    for number in range(_TURNS):
        total += number
    return perf_counter_ns() - start
