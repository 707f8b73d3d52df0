"""The user's folder for what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["ENVIRONMENT", "cache_root"]

ENVIRONMENT = "EDGE_TX_CACHE"


def cache_root() -> Path:
    """``$EDGE_TX_CACHE``, or ``edge_tx`` in the platform's cache folder; it need not exist.

    Raises:
        RuntimeError: There is no home folder.
    """
    own = os.environ.get(ENVIRONMENT)
    if own:
        return Path(own).absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        # Relative values are to be ignored: the XDG base directory specification.
        base = given if Path(given).is_absolute() else Path.home() / ".cache"
    return Path(base) / "edge_tx"
