"""Timing of calls: until steady, then for a least time and a least count.

**When warm-up ends.** Blocks of ten calls are timed; once the median of a block is within 5 % of
that of the block before, the calls are steady. After thirty blocks it ends in any case, and the
row says that it never became steady.

**What a sample costs.** Two reads of the clock, a call of a closure and an append to a list:
``bench/overhead.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

__all__ = ["RULE", "Call", "Warm", "passes", "timed", "until", "warm_up"]

Call = Callable[[], object]

_BLOCK = 10
_STEADY = 0.05
_MOST_BLOCKS = 30

RULE = f"median of {_BLOCK} calls within {_STEADY:.0%} of the {_BLOCK} before"


@dataclass(frozen=True, slots=True)
class Warm:
    """How a warm-up went.

    Attributes:
        calls: That it took.
        steady: Whether the rule was met, and not just the limit reached.
    """

    calls: int
    steady: bool


def timed(call: Call) -> int:
    """Nanoseconds of one call."""
    start = perf_counter_ns()
    call()
    return perf_counter_ns() - start


def warm_up(call: Call) -> Warm:
    """Calls until the timing is steady."""
    before = _block(call)
    for blocks in range(2, _MOST_BLOCKS + 1):
        now = _block(call)
        if abs(now - before) <= _STEADY * before:
            return Warm(blocks * _BLOCK, True)
        before = now
    return Warm(_MOST_BLOCKS * _BLOCK, False)


def until(call: Call, calls: int, least_ns: int) -> list[int]:
    """Times a call this often at least, and for this long at least."""
    return passes((call,), calls, least_ns)


def passes(calls: Sequence[Call], count: int, least_ns: int) -> list[int]:
    """Times calls in turn, in whole passes over all of them.

    Whole passes, so that a run that is repeated times the same mix of inputs.

    Args:
        calls: One or more.
        count: Samples at least.
        least_ns: Time to spend at least.
    """
    samples: list[int] = []
    spent = 0
    while len(samples) < count or spent < least_ns:
        samples += [timed(call) for call in calls]
        spent += sum(samples[-len(calls) :])
    return samples


def _block(call: Call) -> float:
    return median(timed(call) for _ in range(_BLOCK))
