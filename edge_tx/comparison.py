"""Two reports held against each other: what became slower, and whether that is more than noise.

**The ratio** of a cell is its p50 after over its p50 before, each of the calls that
:mod:`edge_tx.undisturbed` counts, so that a busier machine is no regression. **Its confidence
interval** is the percentile bootstrap's (Efron, "Bootstrap Methods: Another Look at the
Jackknife", Annals of Statistics 7, 1979), without resampling: the median of n draws with
replacement is the value at the place U n of the sorted samples, with U of the distribution
Beta((n+1)/2, (n+1)/2), which is that of the median of n uniform numbers.

**The margin.** An interval only knows the noise within a process. Two processes differ by where
their memory came to lie (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously
Wrong!", ASPLOS 2009), and a machine by what else it does: what the same cell, measured again,
differed by in either report. A cell is slower if its whole interval is beyond the margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_tx.errors import InvalidConfig
from edge_tx.report import Report, ReportRow
from edge_tx.undisturbed import comparable, floor_among

__all__ = ["FLOOR", "UNKNOWN", "CellVerdict", "Comparison", "compare", "ratio_interval"]

FLOOR = 0.02
"""Least margin: what two processes of the same cell differ by on the quietest of machines."""

UNKNOWN = 0.05
"""Margin where neither report measured a cell again."""

_DRAWS = 4000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """What became of a cell.

    Attributes:
        label: Of the cell, in words.
        verdict: ``"same"``, ``"faster"``, ``"slower"``, ``"broken"`` (it ran before), ``"fixed"``
            (it did not), ``"gone"``, ``"new"`` or ``"not run"`` (in neither).
        regression: Whether it is slower by more than is allowed, or broken.
        ratio: p50 after over p50 before; None without both.
        low: Least of the ratio's confidence interval.
        high: Most of it.
        before: The row, if there is one.
        after: The row, if there is one.
    """

    label: str
    verdict: str
    regression: bool = False
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    before: ReportRow | None = None
    after: ReportRow | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the numbers of both rows but without their samples."""
        names = ("label", "verdict", "regression", "ratio", "low", "high")
        sides = {"before": _numbers(self.before), "after": _numbers(self.after)}
        return {name: getattr(self, name) for name in names} | sides


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports, cell by cell.

    Attributes:
        cells: In the order of the second report, then those that are gone.
        margin: Of noise: 0.03 is 3 %.
        max_regression: That is allowed.
        remarks: What makes the comparison doubtful, one line each.
    """

    cells: tuple[CellVerdict, ...]
    margin: float
    max_regression: float
    remarks: tuple[str, ...] = field(default=())

    @property
    def regressions(self) -> tuple[CellVerdict, ...]:
        """The cells that are slower by more than is allowed, or broken."""
        return tuple(cell for cell in self.cells if cell.regression)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "margin": self.margin,
            "max_regression": self.max_regression,
            "regressions": len(self.regressions),
            "remarks": list(self.remarks),
            "cells": [cell.to_dict() for cell in self.cells],
        }


def compare(before: Report, after: Report, max_regression: float = 0.05) -> Comparison:
    """Holds a report against an earlier one.

    Args:
        before: The earlier one.
        after: The later one.
        max_regression: How much slower a cell may be: 0.05 is 5 %.

    Raises:
        InvalidConfig: They have no cell in common, or the limit makes no sense.
    """
    if not 0 <= max_regression <= 100:
        raise InvalidConfig(f"max_regression must be 0 or more, not {max_regression}")
    old = {row.key: row for row in before.rows}
    new = {row.key: row for row in after.rows}
    if not old.keys() & new.keys():
        raise InvalidConfig("the reports have no cell in common: nothing can be compared")
    margin = _margin(before, after)
    keys = [*new, *(key for key in old if key not in new)]
    sides = (before, after)
    cells = (_verdict(old.get(key), new.get(key), sides, margin, max_regression) for key in keys)
    return Comparison(tuple(cells), margin, max_regression, tuple(_remarks(before, after)))


def ratio_interval(
    before: Sequence[float], after: Sequence[float], seed: int = 0
) -> tuple[float, float, float]:
    """The ratio of two medians, and its 95 % confidence interval.

    Args:
        before: Samples of the earlier measurement, in nanoseconds.
        after: Samples of the later one.
        seed: Of the draws.
    """
    import numpy as np

    draw = np.random.default_rng(seed)

    def medians(samples: Sequence[float]) -> Any:
        ordered = np.maximum(np.sort(np.asarray(samples, np.float64)), 1.0)
        middle = (len(ordered) + 1) / 2
        places = draw.beta(middle, middle, _DRAWS) * len(ordered)
        return ordered[np.minimum(places.astype(np.int64), len(ordered) - 1)]

    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(medians(after) / medians(before), (tail, 1 - tail))
    ratio = max(float(np.median(after)), 1.0) / max(float(np.median(before)), 1.0)
    return ratio, min(float(low), ratio), max(float(high), ratio)


def _margin(*reports: Report) -> float:
    known = [r.context.noise.spread for r in reports if r.context.noise is not None]
    return max(FLOOR, *known) if len(known) == len(reports) else max(UNKNOWN, *known, FLOOR)


def _verdict(
    before: ReportRow | None,
    after: ReportRow | None,
    sides: tuple[Report, Report],
    margin: float,
    allowed: float,
) -> CellVerdict:
    row = after or before
    if row is None:
        raise InvalidConfig("a cell is in neither report")
    if before is None or after is None:
        return CellVerdict(row.label, "gone" if before else "new", before=before, after=after)
    ran = (bool(before.samples_ns), bool(after.samples_ns))
    if ran != (True, True):
        verdict = _UNLIKE[ran]
        return CellVerdict(row.label, verdict, verdict == "broken", before=before, after=after)
    ratio, low, high = ratio_interval(_calls(before, sides[0]), _calls(after, sides[1]))
    verdict = "slower" if low > 1 + margin else "faster" if high < 1 - margin else "same"
    regression = verdict == "slower" and ratio > 1 + allowed
    return CellVerdict(row.label, verdict, regression, ratio, low, high, before, after)


_UNLIKE: Mapping[tuple[bool, bool], str] = {
    (True, False): "broken",
    (False, True): "fixed",
    (False, False): "not run",
}


def _calls(row: ReportRow, report: Report) -> list[float]:
    return comparable(row, floor_among(report.rows, row.threads))


def _remarks(before: Report, after: Report) -> Iterator[str]:
    for name, report in (("before", before), ("after", after)):
        noise = report.context.noise
        if noise is None:
            yield f"{name}: no cell was measured again, {UNKNOWN:.0%} are taken for the noise"
        elif not noise.quiet:
            yield f"{name}: {noise.said}"
    for what, pick in _ALIKE.items():
        old, new = (pick(report) for report in (before, after))
        if old != new:
            yield f"{what} differs: {old}, then {new}"
    for package in sorted({*before.context.versions, *after.context.versions}):
        old, new = (r.context.versions.get(package, "none") for r in (before, after))
        if old != new:
            yield f"{package} differs: {old}, then {new}"


_ALIKE: Mapping[str, Any] = {
    "the processor": lambda report: report.context.device.get("cpu", {}).get("model"),
    "the governor": lambda report: report.context.before.governor,
    "the data": lambda report: report.context.data.get("path"),
    "the number of rows": lambda report: report.context.data.get("examples"),
    "the time per cell": lambda report: report.context.settings.get("seconds"),
}


def _numbers(row: ReportRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "status": row.status,
        "note": row.note,
        "p50_ns": row.typical_ns,
        "list_throughput": row.list_throughput,
        "load_ns": row.load_ns,
        "peak_bytes": row.memory.peak_bytes if row.memory else None,
        "size_bytes": row.size_bytes,
        "accuracy": dict(row.accuracy),
    }
