"""A batch job's output folder: shards, dead letters and the journal, and how they go together.

::

    OUTPUT/part-000000.parquet      a shard: so many rows of the input, in their order
    OUTPUT/_dead_letters.jsonl      rows that could not be used, and why
    OUTPUT/_journal.jsonl           what is done
    OUTPUT/_report.json             the last run's report, once all is done

Readers of tables take the folder as one table, and leave out names that begin with ``_``. A shard
counts once its line is in the journal, which is written last; what lies there without a line is
made again. The dead-letter file only grows, and is cut back to where the journal's last line says
that it ended.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidConfig
from edge_tx.runtimes.batch_job import Job, check_same, differences
from edge_tx.runtimes.batch_journal import Journal
from edge_tx.runtimes.batch_shards import Shard, ShardFormat, Table, place_file, shard_path
from edge_tx.strict_json import dumps
from edge_tx.swap import sync_folder

__all__ = ["DEAD_LETTERS", "JOURNAL", "REPORT", "Part", "Store", "write_part"]

JOURNAL = "_journal.jsonl"
DEAD_LETTERS = "_dead_letters.jsonl"
REPORT = "_report.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A shard's file that is safe on disk, and what is to be said of it.

    Attributes:
        number: Of the shard.
        rows: Input rows, bad ones included.
        repeated: Rows whose answer another row had.
        truncated: Rows that were too long and were cut.
        tokens: Tokens that were read.
        bytes: Of the file.
        bad: Lines for the dead-letter file.
    """

    number: int
    rows: int
    repeated: int
    truncated: int
    tokens: int
    bytes: int
    bad: tuple[dict[str, Any], ...]


def write_part(folder: Path, shards_as: ShardFormat, table: Table, shard: Shard) -> Part:
    """Writes a shard's file.

    Raises:
        OSError: The disk is full, say. Nothing is left of the file.
    """
    with place_file(shard_path(folder, shard.number, shards_as)) as file:
        shards_as.write(table, shard, file)
        size = file.tell()
    return Part(
        number=shard.number,
        rows=len(shard.rows) + len(shard.bad),
        repeated=shard.repeated,
        truncated=sum(result.truncated > 0 for result in shard.results),
        tokens=shard.tokens,
        bytes=size,
        bad=tuple(shard.bad),
    )


class Store:
    """An output folder that is open for one job. Made by :meth:`open`; close it.

    Attributes:
        folder: Where it is.
        journal: Its journal.
        shards: Journal entries of the shards that are done, from the first on without a gap.
    """

    def __init__(self, folder: Path, journal: Journal, shards_as: ShardFormat) -> None:
        self.folder = folder
        self.journal = journal
        self._shards_as = shards_as
        self.shards = _intact(folder, journal.find("shard"), shards_as)
        self._cut_dead_letters(self.dead_bytes)

    @classmethod
    def open(cls, folder: Path, job: Job, shards_as: ShardFormat) -> Store:
        """Opens a folder, a new one where there is none.

        Raises:
            InvalidConfig: It holds something else, or another job's output.
            InvalidInput: Its journal is damaged.
        """
        _check_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal.open(folder / JOURNAL)
        try:
            begun = journal.find("job")
            if begun and journal.find("shard"):
                check_same(begun[0]["job"], job, folder)
            elif not begun or differences(begun[0]["job"], job.plain()):
                journal.clear()  # nothing was done yet, and the job was another: a mistyped one
                journal.append("job", job=job.plain())
                sync_folder(folder)
                sync_folder(folder.parent)
            return cls(folder, journal, shards_as)
        except BaseException:
            journal.close()
            raise

    @property
    def is_finished(self) -> bool:
        """Whether the whole input is done."""
        ends = self.journal.find("end")
        return bool(ends) and ends[-1]["shards"] == len(self.shards)

    @property
    def dead_bytes(self) -> int:
        """Bytes of the dead letters of the shards that are done."""
        return int(self.shards[-1]["dead_bytes"]) if self.shards else 0

    @property
    def digest(self) -> str:
        """Of the rows that are done, where the input cannot be read twice."""
        return str(self.shards[-1]["digest"]) if self.shards else ""

    @property
    def layout(self) -> dict[str, Any] | None:
        """The layout that was settled, if one was."""
        found = self.journal.find("layout")
        return found[-1] if found else None

    def sum(self, name: str) -> int:
        """A count over all shards that are done."""
        return sum(int(entry[name]) for entry in self.shards)

    def write(self, table: Table, shard: Shard, digest: str = "") -> None:
        """Writes a shard and its dead letters, and then its line in the journal.

        Args:
            table: The schema.
            shard: The shard.
            digest: Of the rows so far, where the input cannot be read twice.

        Raises:
            OSError: The disk is full, say. What was done before stays done.
        """
        self.record(write_part(self.folder, self._shards_as, table, shard), digest)

    def record(self, part: Part, digest: str = "") -> None:
        """Takes a part that is safe on disk into the journal, after its dead letters.

        Args:
            part: The one that follows those that are done.
            digest: As for :meth:`write`.
        """
        dead_bytes = self.bury(list(part.bad), sync=True)
        counts = {name: value for name, value in asdict(part).items() if name != "bad"}
        counts |= {"bad": len(part.bad), "dead_bytes": dead_bytes, "digest": digest}
        self.shards.append(self.journal.append("shard", **counts))

    def bury(self, bad: list[dict[str, Any]], *, sync: bool = False) -> int:
        """Adds dead letters; gives the bytes of the file."""
        if not bad:
            return self.dead_bytes
        path = self.folder / DEAD_LETTERS
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write(b"".join(map(dumps, bad)))
            file.flush()
            if sync:
                os.fsync(file.fileno())
            size = file.tell()
        if is_new and sync:
            sync_folder(self.folder)
        return size

    def finish(self) -> None:
        """Says that the whole input is done."""
        self.journal.append("end", shards=len(self.shards))

    def close(self) -> None:
        """Lets go of the folder."""
        self.journal.close()

    def _cut_dead_letters(self, size: int) -> None:
        path = self.folder / DEAD_LETTERS
        if path.exists():
            if size:
                os.truncate(path, size)
            else:
                path.unlink()


def _check_free(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidConfig(f"{folder} is a file: a batch job writes a folder of files")
    if folder.is_dir() and not (folder / JOURNAL).exists() and any(folder.iterdir()):
        raise InvalidConfig(f"{folder} holds other files: choose an empty or a new folder")


def _intact(
    folder: Path, entries: list[dict[str, Any]], shards_as: ShardFormat
) -> list[dict[str, Any]]:
    """The shards from the first on of which all is there; later entries stand for earlier ones."""
    latest = {int(entry["number"]): entry for entry in entries}
    dead = folder / DEAD_LETTERS
    dead_bytes = dead.stat().st_size if dead.exists() else 0
    found: list[dict[str, Any]] = []
    while (entry := latest.get(len(found))) is not None:
        path = shard_path(folder, len(found), shards_as)
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            break
        if entry["dead_bytes"] > dead_bytes:  # cut away when a shard before this was lost
            break
        found.append(entry)
    return found
