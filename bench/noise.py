"""How far a machine's numbers can be trusted: the same cell against itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_tx.report import Noise, ReportRow, Stretch, count_of
from edge_tx.undisturbed import ENOUGH, counted, floor_among, measurements

__all__ = ["BUSY", "QUIET", "noise_of", "spread_of"]

QUIET = 0.03
"""Spread up to which a machine is quiet."""

BUSY = 0.1
"""Cores that others may keep busy on a quiet machine."""


def spread_of(row: ReportRow, floor: Stretch | None = None) -> float | None:
    """How far apart the p50s of a cell's measurements are: 0.02 is 2 %; None with one alone.

    Of those that count, if two do; else of all.

    Args:
        row: Of the cell.
        floor: The fastest that its processor was, see :mod:`edge_tx.undisturbed`.
    """
    every = measurements(row, floor)
    quiet = counted(every)
    found = [one.p50_ns for one in (quiet if len(quiet) > 1 else every)]
    return (max(found) - min(found)) / max(min(found), 1) if len(found) > 1 else None


def noise_of(rows: Sequence[ReportRow]) -> Noise | None:
    """The noise of a report; None where no cell was measured twice."""
    found = (spread_of(row, floor_among(rows, row.threads)) for row in rows)
    spreads = [spread for spread in found if spread is not None]
    if not spreads:
        return None
    spread = max(spreads)
    reasons = list(_reasons(spread, rows))
    cells = "1 cell" if len(spreads) == 1 else f"{len(spreads)} cells"
    said = f"measured again, {cells} differed by {spread:.1%} at most"
    if reasons:
        said = f"noisy machine: {said}{''.join(f'; {reason}' for reason in reasons)}"
    else:
        said = f"quiet machine: {said}"
    return Noise(len(spreads), round(spread, 6), not reasons, said)


def _reasons(spread: float, rows: Sequence[ReportRow]) -> Iterable[str]:
    around = [row.surroundings for row in rows if row.surroundings is not None]
    if spread > QUIET:
        yield f"differences up to {spread:.0%} mean nothing"
    others = max((one.others_cpu or 0.0 for one in around), default=0.0)
    if others > BUSY:
        yield f"others kept up to {others:.1f} cores busy"
    stolen = max((one.stolen_cpu or 0.0 for one in around), default=0.0)
    if stolen > BUSY:
        yield f"the hypervisor took up to {stolen:.1f} cores"
    disturbed = sum(row.undisturbed is not None and row.undisturbed < ENOUGH for row in rows)
    if disturbed:
        yield f"{count_of(disturbed, 'row')} with less than half of the calls undisturbed"
    if any(one.thermal_throttles for one in around):
        yield "cores were slowed down for heat"
    if any(one.quota_throttles for one in around):
        yield "the control group ran out of CPU time"
