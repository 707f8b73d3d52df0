"""What the harness itself adds to a call: ``python -m edge_tx.bench.overhead [BUNDLE TEXT]``.

Three things are told apart. What is *in* a sample: two reads of the clock and the call of a
closure, measured by timing a call that does nothing. What each call costs *around* its sample,
which slows no call down but decides how many fit into a time: the append and the loop. And with a
bundle, both on real calls: the harness's loop beside a bare one, in one process, in turns. The
looks at the processor between stretches (:mod:`edge_tx.bench.stretches`) are in neither: no call
waits for them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from edge_tx.bench import clock

__all__ = ["Beside", "beside", "main", "measure"]

_CALLS = 200_000
_ROUNDS = 5
_REAL_CALLS = 500
_TURNS = 15


@dataclass(frozen=True, slots=True)
class Beside:
    """Nanoseconds of a call in two loops.

    Attributes:
        bare: In a loop that does nothing else.
        harness: In the harness's.
        added: By the harness: the median of what it took longer, turn by turn.
    """

    bare: float
    harness: float
    added: float


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


def beside(call: clock.Call, calls: int = _REAL_CALLS, turns: int = _TURNS) -> Beside:
    """The harness's loop beside a bare one.

    Args:
        call: What both call.
        calls: Of a turn of each.
        turns: One or more.
    """
    loops: tuple[Callable[[], object], ...] = (
        lambda: _bare(call, calls),
        lambda: clock.until(call, calls, 0),
    )
    found = [[clock.timed(loop) / calls for loop in loops] for _ in range(turns)]
    bare, harness = (median(column) for column in zip(*found, strict=True))
    return Beside(bare, harness, median(b - a for a, b in found))


def _bare(call: clock.Call, calls: int) -> None:
    for _ in range(calls):
        call()


def _nothing() -> None:
    """A call that takes no time of its own."""


def main(arguments: list[str] | None = None) -> None:
    """Prints what a call that does nothing costs, and with a bundle what real calls do."""
    inside, around = measure()
    print(f"in a sample:     {inside / 1000:8.2f} us")
    print(f"around a sample: {around / 1000:8.2f} us")
    given = sys.argv[1:] if arguments is None else arguments
    if given:
        bundle, text = given
        _print_beside(bundle, text)


def _print_beside(bundle: str, text: str) -> None:
    from edge_tx.runtimes.loading import load

    with load(bundle, threads=1) as model:
        found = beside(lambda: model(text))
    print(f"a bare call:     {found.bare / 1000:8.2f} us")
    print(f"in the harness:  {found.harness / 1000:8.2f} us")
    print(f"added:           {found.added / 1000:8.2f} us")


if __name__ == "__main__":
    main()
