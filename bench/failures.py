"""What a cell that failed says, and what kind of failure it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Failed", "answer_of", "failed", "ran_out_of_memory"]

_NO_MEMORY = re.compile(
    r"bad[ _]alloc|MemoryError|out of memory|cannot allocate|can't allocate"
    r"|failed to allocate|unable to allocate|memory allocation",
    re.IGNORECASE,
)
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Failed:
    """A cell that has no numbers.

    Attributes:
        note: Why, in one line.
        kind: One of :data:`edge_tx.report.FAILURES`.
    """

    note: str
    kind: str = "error"


def failed(message: str, max_memory_bytes: int, kind: str = "") -> Failed:
    """Makes a failure of a message.

    Args:
        message: What a library or the last line of stderr said.
        max_memory_bytes: The limit that the cell ran under; 0 for none.
        kind: If it is known; otherwise the message tells whether memory ran out.
    """
    line = " ".join(message.split())[:_SHOWN]
    if not kind:
        kind = "out-of-memory" if _NO_MEMORY.search(line) else "error"
    if max_memory_bytes:
        limit = f"{max_memory_bytes / 1e6:,.0f} MB of private memory"
        # Not every library tells a failed allocation from other failures.
        known = kind == "out-of-memory"
        line = f"needs more than {limit}: {line}" if known else f"{line} (limited to {limit})"
    return Failed(line, kind)


def ran_out_of_memory(exc: BaseException) -> bool:
    """Whether an error, or one that it was raised from, is Python's own of memory."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, MemoryError):
        cause = cause.__cause__
    return cause is not None


def answer_of(failure: Failed) -> dict[str, Any]:
    """As a cell's process writes it."""
    return {"error": failure.note, "failure": failure.kind}
