"""Keeps a batch job under a memory ceiling, by what it is measured to take."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from edge_tx.cgroup import read_limits
from edge_tx.errors import BatchStopped, InvalidConfig
from edge_tx.runtimes.conveyor import WINDOW, Room

__all__ = ["Ceiling", "parse_bytes", "release", "rss_bytes"]

_STATUS = Path("/proc/self/status")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}

# Where the job is made smaller, where it may grow again, and by how often it can be halved.
_HIGH = 0.93
_LOW = 0.80
_STEPS = 5
_LEAST_ROWS = 32
_LEAST_BUDGET = 64


class Ceiling:
    """How much may be on the way, so that the process stays under a limit.

    It begins small and doubles while there is room, as what a window takes is only known when it
    has been run; it halves where the limit comes near.

    Args:
        limit: Most bytes of resident memory; None for no ceiling of its own. A container's limit
            holds in any case.
        measure: Gives the bytes of resident memory.

    Raises:
        InvalidConfig: The process is at the limit before anything is on the way.
    """

    def __init__(self, limit: int | None, measure: Callable[[], int] | None = None) -> None:
        self._measure = measure or rss_bytes
        limits = [limit, read_limits().memory_bytes if measure is None else None]
        self._limit = min((bytes_ for bytes_ in limits if bytes_ is not None), default=None)
        self._step = _STEPS if limit is not None else 0
        self.peak = self._measure()
        if limit is not None and self.peak > limit * _HIGH:
            raise InvalidConfig(
                f"the model alone takes {self.peak / 1e6:.0f} MB, too much for a limit of "
                f"{limit / 1e6:.0f} MB: allow {self.peak * 1.2 / 1e6:.0f} MB, or take a smaller "
                "graph"
            )

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
        now = self._measure()
        self.peak = max(self.peak, now)
        if self._limit is None:
            return now
        if now > self._limit * _HIGH:
            release()
            now = self._measure()
        if now > self._limit and self._step == _STEPS:
            raise BatchStopped(
                f"the smallest windows take {now / 1e6:.0f} MB where {self._limit / 1e6:.0f} MB "
                "are allowed: allow more, and the same job goes on"
            )
        if now > self._limit * _HIGH:
            self._step = min(self._step + 1, _STEPS)
        elif now < self._limit * _LOW:
            self._step = max(self._step - 1, 0)
        return now


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


def rss_bytes() -> int:
    """Bytes of resident memory of this process; the most it ever had where ``/proc`` is not."""
    try:
        status = _STATUS.read_text(encoding="ascii", errors="replace")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


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
