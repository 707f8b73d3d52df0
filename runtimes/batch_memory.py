"""Keeps a batch job under a memory ceiling, by what it is measured to take."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from edge_tx.cgroup import read_limits
from edge_tx.errors import BatchStopped, InvalidConfig
from edge_tx.runtimes.conveyor import WINDOW, Room

__all__ = [
    "SMALLEST",
    "Ceiling",
    "Usage",
    "forget_peak",
    "parse_bytes",
    "release",
    "rss_bytes",
    "usage",
]

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}

# Where the job is made smaller, what it may fill at the most by growing, and by how often it can
# be halved.
_HIGH = 0.93
_STEPS = 5
_LEAST_ROWS = 32
_LEAST_BUDGET = 64
# What two runs of one model differ by, and what a shard and its writing take.
_MARGIN = 1.1
_MEGABYTE = 1_000_000


class Usage(NamedTuple):
    """Resident memory of a process, in bytes.

    Attributes:
        now: At this moment.
        peak: The most that it ever was.
    """

    now: int
    peak: int


SMALLEST = replace(
    WINDOW,
    rows=max(WINDOW.rows >> _STEPS, _LEAST_ROWS),
    characters=WINDOW.characters >> _STEPS,
    budget=max(WINDOW.budget >> (_STEPS // 2), _LEAST_BUDGET),
    windows=1,
)


class Ceiling:
    """How much may be on the way, so that the process stays under a limit.

    Made when the model is open and has run a window. It begins small, as what a window takes is
    only known when it has been run. It doubles where twice of what the windows took at their peak
    has room too, and halves where the limit comes near. Peaks are the kernel's, so what a batch
    takes and gives back is seen.

    Args:
        limit: Most bytes of resident memory; None for no ceiling of its own. A container's limit
            holds in any case.
        measure: Tells the memory of the process.

    Raises:
        InvalidConfig: The process is at the limit already, or was beyond it while the model was
            opened or ran a window.
    """

    def __init__(self, limit: int | None, measure: Callable[[], Usage] | None = None) -> None:
        self._measure = measure or usage
        limits = [limit, read_limits().memory_bytes if measure is None else None]
        self._limit = min((bytes_ for bytes_ in limits if bytes_ is not None), default=None)
        self._step = _STEPS if limit is not None else 0
        at_first = self._measure()
        self._base, self._seen = at_first
        self.peak = at_first.peak
        if limit is not None:
            _check_opened(at_first, limit)

    def room(self) -> Room:
        """What may be on the way now."""
        if self._step == 0:
            return WINDOW
        return replace(
            WINDOW,
            rows=max(WINDOW.rows >> self._step, _LEAST_ROWS),
            characters=WINDOW.characters >> self._step,
            budget=max(WINDOW.budget >> (self._step // 2), _LEAST_BUDGET),
            windows=1,
        )

    def look(self) -> int:
        """Measures, and makes room where the limit comes near.

        Returns:
            Bytes of resident memory.

        Raises:
            BatchStopped: It is over the ceiling, and nothing can be made smaller any more.
        """
        now = self._most()
        if self._limit is None:
            return now
        if now > self._limit * _HIGH:
            return self._shrink()
        if self._step and 2 * self.peak - self._base <= self._limit * _HIGH:
            self._step -= 1
        return now

    def _shrink(self) -> int:
        release()
        now = self._measure().now
        if self._limit is not None and now > self._limit and self._step == _STEPS:
            raise BatchStopped(
                f"the smallest windows take {now / 1e6:.0f} MB where {self._limit / 1e6:.0f} MB "
                "are allowed: allow more, and the same job goes on"
            )
        self._step = min(self._step + 1, _STEPS)
        return now

    def _most(self) -> int:
        """Most bytes since the last look, as far as they can be told; else those of now."""
        found = self._measure()
        risen, self._seen = found.peak > self._seen, found.peak
        self.peak = max(self.peak, found.peak)
        return found.peak if risen else found.now


def _check_opened(found: Usage, limit: int) -> None:
    """Checks that the model has room, and room to work.

    Raises:
        InvalidConfig: It has not.
    """
    if found.peak <= limit and found.now <= limit * _HIGH:
        return
    least = max(found.peak, found.now / _HIGH) * _MARGIN
    raise InvalidConfig(
        f"the model alone takes {found.peak / 1e6:.0f} MB while it is opened and begins, and "
        f"{found.now / 1e6:.0f} MB then, too much for a limit of {limit / 1e6:.0f} MB: allow "
        f"{ceil(least / _MEGABYTE)}M, or take a smaller graph"
    )


def parse_bytes(size: str | int | None) -> int | None:
    """Bytes of a size such as ``"600M"`` or ``"1.5GB"``: decimal units, ``MiB`` for powers of two.

    Raises:
        InvalidConfig: It is not a size above zero.
    """
    if size is None:
        return None
    found = _SIZE.fullmatch(str(size).strip())
    if found is None or isinstance(size, bool) or not float(found[1]):
        raise InvalidConfig(f"max_rss must be a size such as 600M, not {size!r}")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** _POWERS[found[2].lower()])


def usage() -> Usage:
    """The memory of this process; both the most it ever had where ``/proc`` is not."""
    try:
        status = _STATUS.read_text(encoding="ascii", errors="replace")
        now, peak = (int(status.split(name)[1].split()[0]) * 1024 for name in ("VmRSS:", "VmHWM:"))
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        now = peak = peak if sys.platform == "darwin" else peak * 1024
    return Usage(now, max(now, peak))


def rss_bytes() -> int:
    """Bytes of resident memory of this process."""
    return usage().now


def forget_peak() -> None:
    """Begins the kernel's peak anew, so that it is the job's and not what was there before it.

    See https://docs.kernel.org/filesystems/proc.html, "clear_refs"; without it, a process that was
    larger before is held to have that peak.
    """
    with suppress(OSError):
        _CLEAR_REFS.write_text("5\n", encoding="ascii")


def release() -> None:
    """Gives memory that is not used back to the system, as far as the C library can."""
    gc.collect()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
