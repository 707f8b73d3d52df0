"""What the harness itself adds to a sample: ``python -m edge_tx.bench.overhead``.

Two things are told apart. What is *in* a sample: two reads of the clock and the call of a closure,
measured by timing a call that does nothing. And what each call costs *around* its sample, which
slows no call down but decides how many fit into a time: the append and the loop.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns

from edge_tx.bench import clock

__all__ = ["main", "measure"]

_CALLS = 200_000
_ROUNDS = 5


def measure(calls: int = _CALLS, rounds: int = _ROUNDS) -> tuple[float, float]:
    """Nanoseconds in a sample, and around it; the median of several rounds.

    Args:
        calls: Of a round.
        rounds: One or more.
    """
    inside, around = [], []
    for _ in range(rounds):
        start = perf_counter_ns()
        samples = clock.until(_nothing, calls, 0)
        whole = (perf_counter_ns() - start) / calls
        inside.append(median(samples))
        around.append(whole - sum(samples) / calls)
    return median(inside), median(around)


def _nothing() -> None:
    """A call that takes no time of its own."""


def main() -> None:
    """Prints both."""
    inside, around = measure()
    print(f"in a sample:     {inside / 1000:6.2f} us")
    print(f"around a sample: {around / 1000:6.2f} us")


if __name__ == "__main__":
    main()
