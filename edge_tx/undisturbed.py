"""A cell's p50 over the calls that had the processor to themselves.

A virtual processor shares its core, and may lie far from its neighbours' cache, without anything
in ``/proc/stat`` saying so: the same call then takes up to twice as long, for milliseconds or for
half a minute. So calls are timed in short stretches (:class:`~edge_tx.report.Stretch`), and
before and after each of them the processor is asked how fast it is, by work that has nothing to
do with the model. **A stretch is undisturbed** if all of that work was near the fastest that it
was in any stretch of the report with the same threads. How long the calls themselves took never
decides: that would be picking the best.

**The p50** is the median over the inputs (by nearest rank) of each input's median over its
undisturbed calls, so that every measurement counts the same inputs equally; an input that never
had such a call counts with its least disturbed one. Of a cell that was measured several times it
is the median of the p50s of those that count: the ones with half of their calls undisturbed, or
else the one with the most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median

from edge_tx.report_parts import Stretch
from edge_tx.report_row import ReportRow
from edge_tx.stats import percentile

__all__ = [
    "ENOUGH",
    "RULE",
    "Measurement",
    "comparable",
    "counted",
    "floor_among",
    "floor_of",
    "is_undisturbed",
    "kept",
    "measurements",
    "p50_ns",
    "settled",
]

LOOPS = 1.45
"""How much slower a hardware thread's own work may be: one that shares its core needs 1.6 to 2."""

ENOUGH = 0.5
"""Share of a measurement's calls that are undisturbed at least, for it to be a quiet one."""

HANDOVERS = 1.5
"""The same of reading what another thread has read: out of memory it takes 2.5 to 3 times."""

RULE = (
    f"calls between two checks of the processor, its own work within {LOOPS - 1:.0%} and handing "
    f"over within {HANDOVERS - 1:.0%} of the fastest"
)


def floor_of(stretches: Iterable[Stretch]) -> Stretch | None:
    """The fastest that each piece of work was; None of no stretch."""
    fastest: Stretch | None = None
    for one in stretches:
        fastest = one if fastest is None else _faster(fastest, one)
    return None if fastest is None else replace(fastest, calls=0)


def _faster(left: Stretch, right: Stretch) -> Stretch:
    return Stretch(
        0,
        tuple(map(min, left.loops_ns, right.loops_ns)),
        tuple(map(min, left.handovers_ns, right.handovers_ns)),
    )


def is_undisturbed(stretch: Stretch, floor: Stretch) -> bool:
    """Whether the processor was near its fastest before and after these calls."""
    return _excess(stretch, floor) <= 1


def _excess(stretch: Stretch, floor: Stretch) -> float:
    """How much slower it was, of what is allowed."""
    pairs = chain(
        zip(stretch.loops_ns, floor.loops_ns, (LOOPS,) * len(floor.loops_ns), strict=False),
        zip(
            stretch.handovers_ns,
            floor.handovers_ns,
            (HANDOVERS,) * len(floor.handovers_ns),
            strict=False,
        ),
    )
    return max((now / max(best, 1) / allowed for now, best, allowed in pairs), default=0.0)


def kept(
    samples: Sequence[int], stretches: Sequence[Stretch], floor: Stretch | None
) -> tuple[bool, ...]:
    """Of each sample whether it is undisturbed; all are where nothing was watched."""
    excesses = _excesses(samples, stretches, floor)
    return tuple(excess <= 1 for excess in excesses)


def _excesses(
    samples: Sequence[int], stretches: Sequence[Stretch], floor: Stretch | None
) -> list[float]:
    if floor is None or not stretches:
        return [0.0] * len(samples)
    return [excess for one in stretches for excess in [_excess(one, floor)] * one.calls]


def p50_ns(
    samples: Sequence[int],
    stretches: Sequence[Stretch] = (),
    inputs: int = 1,
    floor: Stretch | None = None,
) -> int:
    """The p50 of one measurement, as this module defines it.

    Args:
        samples: One or more; sample ``i`` is of input ``i % inputs``.
        stretches: That cover them; empty where nothing was watched.
        inputs: Calls of a pass.
        floor: The fastest, see :func:`floor_of`.
    """
    excesses = _excesses(samples, stretches, floor)
    medians = [
        _of_input(samples[first::inputs], excesses[first::inputs])
        for first in range(min(inputs, len(samples)))
    ]
    return percentile(sorted(medians), 50)


def comparable(row: ReportRow, floor: Stretch | None) -> list[float]:
    """The calls that a cell's p50 is made of, each as if it were one of its median input.

    A call that took 3 % longer than its input's median is 3 % over its measurement's p50 here:
    what is left is how far calls of the same input are apart, for intervals around the p50.
    """
    found: list[float] = []
    counting = set(counted(measurements(row, floor)))
    for samples, stretches in row.runs:
        if not samples or _measurement(samples, stretches, row.inputs, floor) not in counting:
            continue
        p50 = p50_ns(samples, stretches, row.inputs, floor)
        excesses = _excesses(samples, stretches, floor)
        for first in range(min(row.inputs, len(samples))):
            mine = _of_limit(samples[first :: row.inputs], excesses[first :: row.inputs])
            middle = max(median(mine), 1)
            found += [ns * p50 / middle for ns in mine]
    return found


def _of_limit(samples: Sequence[int], excesses: Sequence[float]) -> list[int]:
    """An input's undisturbed calls, or its least disturbed one."""
    limit = max(1.0, min(excesses))
    return [ns for ns, excess in zip(samples, excesses, strict=True) if excess <= limit]


def _of_input(samples: Sequence[int], excesses: Sequence[float]) -> int:
    return round(median(_of_limit(samples, excesses)))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process measured of a cell.

    Attributes:
        p50_ns: As this module defines it.
        share: Of its calls that were undisturbed; None where the processor was not watched.
    """

    p50_ns: int
    share: float | None

    @property
    def quiet(self) -> bool:
        """Whether enough of it was undisturbed."""
        return self.share is None or self.share >= ENOUGH


def measurements(row: ReportRow, floor: Stretch | None) -> list[Measurement]:
    """All measurements of a cell."""
    return [
        _measurement(samples, stretches, row.inputs, floor)
        for samples, stretches in row.runs
        if samples
    ]


def _measurement(
    samples: Sequence[int], stretches: Sequence[Stretch], inputs: int, floor: Stretch | None
) -> Measurement:
    return Measurement(p50_ns(samples, stretches, inputs, floor), _share(samples, stretches, floor))


def _share(
    samples: Sequence[int], stretches: Sequence[Stretch], floor: Stretch | None
) -> float | None:
    return sum(kept(samples, stretches, floor)) / len(samples) if stretches else None


def counted(found: Sequence[Measurement]) -> list[Measurement]:
    """The quiet ones; if none was, that with the most undisturbed calls."""
    most = max((one.share or 0.0 for one in found), default=0.0)
    return [one for one in found if one.quiet] or [one for one in found if one.share == most]


def settled(rows: Sequence[ReportRow]) -> list[ReportRow]:
    """The rows with their p50 and their share of undisturbed calls.

    Args:
        rows: All of a report: what ran fast in one says what is slow in the others.
    """
    floors = {threads: floor_among(rows, threads) for threads in {row.threads for row in rows}}
    return [_settled(row, floors[row.threads]) for row in rows]


def floor_among(rows: Iterable[ReportRow], threads: int) -> Stretch | None:
    """The fastest that the processor was in rows with so many threads; None if unknown."""
    alike = (row for row in rows if row.threads == threads)
    return floor_of(one for row in alike for _samples, stretches in row.runs for one in stretches)


def _settled(row: ReportRow, floor: Stretch | None) -> ReportRow:
    found = counted(measurements(row, floor))
    if not found:
        return row
    p50 = round(median(one.p50_ns for one in found))
    share = found[0].share
    return replace(row, p50_ns=p50, undisturbed=None if share is None else round(share, 4))
