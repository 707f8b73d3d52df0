"""Timing of calls in short stretches, with a look at the processor before and after each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from time import process_time_ns

from edge_tx.bench.clock import Call, timed
from edge_tx.bench.probe import Probe, slower
from edge_tx.report import Stretch
from edge_tx.undisturbed import floor_of, is_undisturbed

__all__ = ["PATIENCE", "Timed", "run"]

PATIENCE = 4
"""Times the time that was asked for may pass until that much of it was undisturbed."""

# Short enough that the processor seldom changes within, and long beside a look at it.
_STRETCH_NS = 5_000_000


@dataclass
class Timed:
    """Calls that were timed.

    Attributes:
        floor: The fastest that the processor is known to be; None if nothing is known.
        samples_ns: Every call.
        stretches: That cover them; empty without a probe.
        cpu_ns: CPU time of all threads during them.
    """

    floor: Stretch | None = None
    samples_ns: list[int] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    cpu_ns: int = 0
    _kept: int = 0
    _kept_ns: int = 0
    _spent_ns: int = 0

    def enough(self, calls: int, least_ns: int) -> bool:
        """Whether the undisturbed calls are, or all of them where patience has ended."""
        if self._kept >= calls and self._kept_ns >= least_ns:
            return True
        return len(self.samples_ns) >= calls and self._spent_ns >= PATIENCE * least_ns

    def add(self, samples: Sequence[int], stretch: Stretch | None) -> None:
        """Adds a stretch."""
        self.samples_ns += samples
        self._spent_ns += sum(samples)
        if stretch is not None:
            self.stretches.append(stretch)
            known = [stretch] if self.floor is None else [stretch, self.floor]
            self.floor = floor_of(known)
        if stretch is None or self.floor is None or is_undisturbed(stretch, self.floor):
            self._kept += len(samples)
            self._kept_ns += sum(samples)


def run(
    calls: Sequence[Call],
    count: int,
    least_ns: int,
    probe: Probe | None,
    floor: Stretch | None = None,
) -> Timed:
    """Times calls in turn, in whole passes over all of them.

    Args:
        calls: One or more.
        count: Undisturbed samples at least, as long as patience lasts.
        least_ns: Undisturbed time at least, as long as patience lasts.
        probe: Looks at the processor; None not to.
        floor: The fastest that it is known to be.
    """
    found = Timed(floor)
    before = probe.read() if probe else None
    while not found.enough(count, least_ns) or len(found.samples_ns) % len(calls):
        turn = len(found.samples_ns) % len(calls)
        left = len(calls) - turn if found.enough(count, least_ns) else None
        if probe is not None:
            calls[turn - 1]()  # wakes threads that fell asleep meanwhile, and warms the caches
        cpu = process_time_ns()
        samples = _stretch(islice(cycle(calls), turn, left and turn + left), least_ns)
        found.cpu_ns += process_time_ns() - cpu
        if probe is None or before is None:
            found.add(samples, None)
            continue
        after = probe.read()
        found.add(samples, Stretch(len(samples), *slower(before, after)))
        before = after
    return found


def _stretch(calls: Iterable[Call], least_ns: int) -> list[int]:
    """Calls one after the other until there are none left or the stretch is over."""
    samples: list[int] = []
    spent = 0
    for call in calls:
        samples.append(timed(call))
        spent += samples[-1]
        if spent >= min(_STRETCH_NS, least_ns):
            break
    return samples
