"""Times and memory: integers in nanoseconds and bytes, converted only when printed."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidConfig

__all__ = ["LatencyStats", "MemoryStats", "percentile", "throughput"]

_SECOND_NS = 1_000_000_000


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The nearest-rank percentile: the smallest sample that this share of all do not exceed.

    It is always one of the samples: nothing is interpolated. With fewer than
    ``100 / (100 - percent)`` samples it is the largest.

    Args:
        ordered: One or more samples in ascending order.
        percent: Over 0, up to 100.
    """
    # A tiny step down first: 99.9 % of 1000 is 999, not the 999.0000000000001 of floats.
    rank = math.ceil(round(percent * len(ordered) / 100, 9))
    return ordered[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class LatencyStats:
    """How long single calls took.

    Attributes:
        count: Samples.
        mean_ns: Arithmetic mean, rounded.
        min_ns: The fastest.
        p50_ns: Percentiles by nearest rank, see :func:`percentile`.
        p90_ns: As above.
        p99_ns: As above.
        p999_ns: As above, for 99.9.
        max_ns: The slowest.
    """

    count: int
    mean_ns: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    @classmethod
    def of(cls, samples_ns: Sequence[int]) -> LatencyStats:
        """Summarises samples.

        Raises:
            InvalidConfig: There are none, or one is negative.
        """
        if not samples_ns or min(samples_ns) < 0:
            raise InvalidConfig("latency needs one or more samples, none of them negative")
        ordered = sorted(samples_ns)
        return cls(
            count=len(ordered),
            mean_ns=round(sum(ordered) / len(ordered)),
            min_ns=ordered[0],
            p50_ns=percentile(ordered, 50),
            p90_ns=percentile(ordered, 90),
            p99_ns=percentile(ordered, 99),
            p999_ns=percentile(ordered, 99.9),
            max_ns=ordered[-1],
        )

    def per_second(self, items: int = 1) -> float:
        """Throughput of calls made one after the other.

        Args:
            items: Inputs in one call.
        """
        return throughput(items * self.count, self.mean_ns * self.count)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def throughput(items: int, elapsed_ns: int) -> float:
    """Items per second."""
    return items * _SECOND_NS / max(elapsed_ns, 1)


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Memory of this process. None is "cannot be measured here", never an estimate.

    Attributes:
        peak_rss_bytes: Most memory that was ever resident.
        rss_bytes: Resident now.
        anonymous_bytes: Of that, not backed by files: weights mapped from disk are not in it.
    """

    peak_rss_bytes: int | None
    rss_bytes: int | None
    anonymous_bytes: int | None

    @classmethod
    def read(cls) -> MemoryStats:
        """Reads this process's memory."""
        return _READERS.get(sys.platform, _unmeasured)()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def _unmeasured() -> MemoryStats:
    return MemoryStats(None, None, None)


def _from_proc(status: Path = Path("/proc/self/status")) -> MemoryStats:
    # Not ru_maxrss: Linux hands a child the peak its parent had when it was started.
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return _unmeasured()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return MemoryStats(*(_kilobytes(fields.get(key)) for key in ("VmHWM", "VmRSS", "RssAnon")))


def _kilobytes(field: str | None) -> int | None:
    parts = (field or "").split()
    return int(parts[0]) * 1024 if len(parts) == 2 and parts[1] == "kB" else None


def _from_getrusage() -> MemoryStats:
    """The peak on macOS, where it is exact and in bytes."""
    import resource

    return MemoryStats(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, None, None)


_READERS = {"linux": _from_proc, "darwin": _from_getrusage}
