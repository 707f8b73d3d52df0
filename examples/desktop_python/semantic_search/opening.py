"""Opening a file in the user's own program for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["open_file"]

_OPENERS = {"darwin": "open", "win32": "explorer"}


def open_file(path: Path) -> None:
    """Opens a file.

    Raises:
        OSError: It is gone, or this system has nothing to open files with.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there any more; choose the folder again")
    name = _OPENERS.get(sys.platform, "xdg-open")
    program = shutil.which(name)
    if program is None:
        raise OSError(f"cannot open {path}: this system has no '{name}'")
    subprocess.Popen([program, str(path)])
