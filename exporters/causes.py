"""What went wrong inside a vendor's converter, on one line."""

from __future__ import annotations

import re

__all__ = ["root_cause"]

_MOST = 200


def root_cause(exc: BaseException) -> str:
    """Class and first line of the error at the bottom: torch wraps a cause in pages of advice."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(exc))
    line = next((line.strip() for line in plain.splitlines() if line.strip()), "")
    shown = line if len(line) <= _MOST else line[: _MOST - 3] + "..."
    return f"{type(exc).__name__}: {shown}" if shown else type(exc).__name__
