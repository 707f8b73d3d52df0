"""What a batch job has done, in a file that survives a kill at any moment.

One JSON object a line, each with a checksum, appended and synced to disk. A line that a kill or a
power cut tore is the last one, and is taken off. The file is locked while its job runs.

The idea is that of a write-ahead log's (C. Mohan et al., ARIES, ACM TODS 17(1), 1992), turned
round: a line is written after what it tells of is safe on disk, so that what has no line is
simply made again, to the same bytes.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge_tx.errors import EdgeTxError, InvalidConfig, InvalidInput
from edge_tx.strict_json import dumps, loads

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Journal"]

Entry = dict[str, Any]


class Journal:
    """An open journal. Made by :meth:`open`; close it, or use it in a ``with`` block.

    Attributes:
        entries: What it holds, the oldest first.
    """

    def __init__(self, path: Path, handle: int, entries: list[Entry]) -> None:
        self.entries = entries
        self._path = path
        self._handle = handle

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Opens a journal, a new one where there is none.

        Raises:
            InvalidConfig: Another process holds it.
            InvalidInput: A line that is not the last one is damaged.
        """
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(handle, path)
            entries, end = _parsed(path.read_bytes(), path)
            os.ftruncate(handle, end)
            os.lseek(handle, end, os.SEEK_SET)
        except BaseException:
            os.close(handle)
            raise
        return cls(path, handle, entries)

    def find(self, kind: str) -> list[Entry]:
        """The entries of a kind."""
        return [entry for entry in self.entries if entry["kind"] == kind]

    def clear(self) -> None:
        """Forgets everything.

        Raises:
            OSError: The file cannot be written.
        """
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self.entries.clear()

    def append(self, kind: str, **fields: Any) -> Entry:
        """Adds an entry; it is on disk when this returns.

        Raises:
            OSError: It could not be written. What was there stays readable.
        """
        entry = {"kind": kind, **fields}
        body = dumps(entry).rstrip(b"\n")
        line = b'{"crc32":"%08x","entry":%s}\n' % (zlib.crc32(body), body)
        view = memoryview(line)
        while view:
            view = view[os.write(self._handle, view) :]
        os.fsync(self._handle)
        self.entries.append(entry)
        return entry

    def close(self) -> None:
        """Lets go of the file and its lock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: nothing tells that another process is at work
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        raise InvalidConfig(
            f"another process is writing to {path.parent}: wait for it, or choose another output"
        ) from exc


def _parsed(data: bytes, path: Path) -> tuple[list[Entry], int]:
    """The whole entries, and where they end."""
    entries: list[Entry] = []
    end = 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None and number == len(lines):
            break
        if entry is None:
            raise InvalidInput(
                f"{path}, line {number} is damaged, so that it cannot be told what is done: "
                "delete the folder and start again"
            )
        entries.append(entry)
        end += len(line)
    return entries, end


def _entry(line: bytes) -> Entry | None:
    """The entry of a whole line; None of a torn or damaged one."""
    head, body, tail = line[:28], line[28:-2], line[-2:]
    if tail != b"}\n" or head != b'{"crc32":"%08x","entry":' % zlib.crc32(body):
        return None
    try:
        entry = loads(body, "journal")
    except EdgeTxError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("kind"), str) else None
