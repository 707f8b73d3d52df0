"""Replaces a folder or a file so that a kill at any moment leaves the old one or the new one.

Everything is written to a work folder beside the destination, synced to disk and swapped in:

- a file by ``os.replace``;
- a folder by Linux's ``renameat2(RENAME_EXCHANGE)``, which is one step;
- a folder elsewhere by two renames, the old one into the work folder first. A kill between the
  two leaves it there, and whoever comes next puts it back (:func:`recover`).

A work folder is locked while its process lives. The kernel drops the lock when the process
ends, however it ends, which a process id in the name could not tell: ids are used again, and
in containers they are often the same on every run. Devices only read bundles, so what only
writing needs is imported when something is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from edge_tx.errors import BundleError

__all__ = [
    "held",
    "io_errors",
    "publish",
    "recover",
    "sync_folder",
    "sync_tree",
    "work_folder",
]

_OLD = "old"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextlib.contextmanager
def io_errors(doing: str) -> Iterator[None]:
    """Turns an OSError into a one-line BundleError: ``cannot write X: No space left on device``.

    Args:
        doing: What could not be done, e.g. ``"write /models/bundle"``.
    """
    try:
        yield
    except OSError as exc:
        raise BundleError(f"cannot {doing}: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def work_folder(dest: Path) -> Iterator[Path]:
    """A new private folder beside ``dest``, removed at the end.

    First puts right what dead processes left there.

    Args:
        dest: Absolute path of what will be written. Its parent is made if it is missing.
    """
    import shutil
    import tempfile

    dest.parent.mkdir(parents=True, exist_ok=True)
    _clean(dest)
    while True:
        work = Path(tempfile.mkdtemp(prefix=f"{_prefix(dest)}{os.getpid()}-", dir=dest.parent))
        lock = _locked(work)
        # Between the two lines another process may have taken it for a left-over.
        if work.exists():
            break
        _unlock(lock)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _unlock(lock)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Locks a folder that is kept, for as long as the process lives.

    Yields:
        Whether it is ours; False if another process holds it. True where nothing can be locked
        (Windows).
    """
    try:
        import fcntl  # noqa: F401 - only whether it is there
    except ImportError:
        yield True
        return
    lock = _locked(folder)
    try:
        yield lock is not None
    finally:
        _unlock(lock)


def publish(new: Path, dest: Path, work: Path) -> None:
    """Puts a synced file or folder in the place of ``dest``, whatever is there.

    Args:
        new: Inside the work folder.
        dest: What it becomes; may be missing, a file, an empty folder or a folder.
        work: The work folder of ``dest``. What was at ``dest`` is left in it.
    """
    if new.is_dir() and _is_filled(dest):
        if not _exchange(new, dest):
            dest.rename(work / _OLD)
            new.rename(dest)
    else:
        new.replace(dest)
    sync_folder(dest.parent)


def recover(dest: Path) -> None:
    """Puts back what a process moved away and was killed before it put the new one there.

    Raises:
        BundleError: A living process is just replacing it.
    """
    if os.path.lexists(dest) or not dest.parent.is_dir():
        return
    for work in _works(dest):
        if (work / _OLD).exists() and not _reclaim(work, dest):
            raise BundleError(f"{dest} is just being replaced by another process: try again")


def sync_tree(folder: Path) -> None:
    """Has the disk hold every file and folder below, and the folder itself."""
    for base, _, names in os.walk(folder, topdown=False):
        for name in names:
            with (Path(base) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(base))


def _clean(dest: Path) -> None:
    for work in _works(dest):
        _reclaim(work, dest)


def _reclaim(work: Path, dest: Path) -> bool:
    """Clears a dead process's work folder away; False if its process may be alive."""
    import shutil

    lock = _locked(work)
    if lock is None:
        return False
    try:
        if (work / _OLD).exists() and not os.path.lexists(dest):
            (work / _OLD).rename(dest)
            sync_folder(dest.parent)
        shutil.rmtree(work, ignore_errors=True)
    finally:
        _unlock(lock)
    return True


def _works(dest: Path) -> list[Path]:
    # Not glob: names may hold brackets.
    return sorted(p for p in dest.parent.iterdir() if p.name.startswith(_prefix(dest)))


def _prefix(dest: Path) -> str:
    return f".{dest.name}.edge_tx-"


def _is_filled(dest: Path) -> bool:
    return dest.is_dir() and any(dest.iterdir())


def _locked(folder: Path) -> int | None:
    """Locks a folder; None if it is held, gone, or cannot be locked here."""
    try:
        import fcntl
    except ImportError:  # Windows: no way to tell a dead owner, so left-overs stay
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Has the disk hold a folder's names."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as exc:  # file systems without it say EINVAL
        if exc.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two paths in one step; False where system or file system cannot."""
    call = _renameat2()
    if call is None:
        return False
    ends = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if call(*ends) == 0:
        return True
    import ctypes

    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(other))


@cache
def _renameat2() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
