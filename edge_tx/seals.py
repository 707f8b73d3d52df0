"""Which files of a bundle were hashed before on this machine, and are untouched since.

Hashing 90 MB costs a fifth of the time from start to first answer, and far more of it on a small
board. So a large file is hashed once, and again when its size, inode or times differ from what
they were then, the way git decides which files to read again. The inode's change time is among
them, which no program can set: a write shows, even one that puts the modification time back. What
it cannot show is a disk that forgets; ``edge-tx verify`` always hashes everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import final

from edge_tx.cache import cache_root
from edge_tx.digest import sha256_hex
from edge_tx.manifest import FileRecord

__all__ = ["ALWAYS_HASH", "Seals"]

# Set to anything, it makes every process hash every file that it uses.
ALWAYS_HASH = "EDGE_TX_ALWAYS_HASH"

_LEAST_BYTES = 1 << 20  # smaller files are hashed in less than a millisecond
# A write this soon after the last one may leave the times as they are (their steps are the
# kernel's ticks, or 2 s on FAT), so a file as young as this is not sealed yet.
_YOUNG_NS = 2_000_000_000
_DIGITS = 8  # of a bundle's key

_Seal = list[str | int]


@final
class Seals:
    """What is remembered of one bundle's files. Not safe to share between threads.

    Args:
        root: The bundle's folder; None for one that will not be seen again.
    """

    def __init__(self, root: Path | None) -> None:
        self._file: Path | None = None
        self._seals: dict[str, _Seal] = {}
        # Elsewhere st_ctime is the time of creation, and tells nothing.
        if root is None or os.name != "posix" or os.environ.get(ALWAYS_HASH):
            return
        # Two bundles of one key would only unseal each other: a seal names the file's inode.
        key = sha256_hex(os.fsencode(root))[:_DIGITS]
        with contextlib.suppress(RuntimeError):  # no home folder: nothing is remembered
            self._file = cache_root() / "seals" / f"{key}.json"
            self._seals = _read(self._file)

    def hold(self, record: FileRecord, status: os.stat_result) -> bool:
        """Whether a file was found to be what its record says, and is untouched since."""
        return self._seals.get(record.path) == _seal(record, status)

    def keep(self, record: FileRecord, before: os.stat_result, after: os.stat_result) -> None:
        """Remembers that a file is what its record says.

        Args:
            record: What the manifest says.
            before: The file's status before it was hashed.
            after: Its status after that.
        """
        seal = _seal(record, before)
        still = seal == _seal(record, after)
        old = time.time_ns() - max(before.st_ctime_ns, before.st_mtime_ns) > _YOUNG_NS
        if self._file is None or not (still and old and record.size >= _LEAST_BYTES):
            return
        self._seals[record.path] = seal
        with contextlib.suppress(OSError):  # a cache that cannot be written only saves nothing
            _write(self._file, self._seals)


def _seal(record: FileRecord, status: os.stat_result) -> _Seal:
    return [
        record.sha256,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_dev,
    ]


def _read(file: Path) -> dict[str, _Seal]:
    """The seals of a file; none where it is absent or not what :func:`_write` writes."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, seals: dict[str, _Seal]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    work = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        work.write_text(json.dumps(seals), encoding="utf-8")
        work.replace(file)
    finally:
        work.unlink(missing_ok=True)
