"""The loop of a batch job: rows in, windows through the model, shards out.

Three things go on side by side: this thread reads, checks and tokenises; the model's streams run
batches; one more thread writes the shard before. Windows end where shards end, so that a shard's
bytes depend on nothing but its own rows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Protocol

from edge_tx.errors import BatchStopped, InvalidConfig, InvalidInput
from edge_tx.runtimes.batch_columns import Columns
from edge_tx.runtimes.batch_formats import shown
from edge_tx.runtimes.batch_memory import Ceiling
from edge_tx.runtimes.batch_report import BatchProgress, Tell
from edge_tx.runtimes.batch_shards import Shard, Table
from edge_tx.runtimes.batch_sources import SourceRow
from edge_tx.runtimes.batch_store import DEAD_LETTERS
from edge_tx.runtimes.conveyor import Conveyor, Flight, characters, windows

__all__ = ["Entry", "Limits", "Run", "Sink", "entries", "too_many", "verified"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that was looked at.

    Attributes:
        row: The row.
        item: The task's item.
        kept: Cells that are carried through.
        name: What its column of names says; None without one.
        problem: Why it cannot be used; empty if it can.
    """

    row: SourceRow
    item: Any
    kept: list[Any]
    name: Any = None
    problem: str = ""

    @property
    def length(self) -> int:
        """Characters of its input."""
        return 0 if self.problem else characters(self.item)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends before its input.

    Attributes:
        max_errors: Most bad rows; None for any number.
        stop: Asked at each shard's edge.
    """

    max_errors: int | None
    stop: Callable[[], bool]


def entries(rows: Iterable[SourceRow], columns: Columns, conveyor: Conveyor) -> Iterator[Entry]:
    """Looks at rows: takes their inputs and the cells to keep, or says what is wrong."""
    for row in rows:
        name = row.values.get(columns.id) if columns.id else None
        if row.problem:
            yield Entry(row, None, [], name, row.problem)
            continue
        try:
            item = conveyor.parse(columns.value(row.values))
            yield Entry(row, item, columns.carried(row.values), name)
        except InvalidInput as exc:
            yield Entry(row, None, [], name, str(exc))


def verified(
    rows: Iterable[SourceRow], start: int, expected: str, digest: Any
) -> Iterator[SourceRow]:
    """Rows of a stream that cannot be read twice, without those that are done.

    Args:
        rows: All of them.
        start: How many are done.
        expected: Digest of those that are done; empty if there are none.
        digest: Takes what is read, to be kept with the next shard.

    Raises:
        InvalidConfig: The rows that are done are not those that were read then, or fewer.
    """
    read = 0
    for row in rows:
        if read == start:
            _check_digest(expected, digest)
        digest.update(repr(row.values or row.problem).encode("utf-8", "surrogatepass"))
        read += 1
        if read > start:
            yield row
    if read == start:
        _check_digest(expected, digest)
    elif read < start:
        raise _other_stdin()


def _check_digest(expected: str, digest: Any) -> None:
    if expected and digest.hexdigest() != expected:
        raise _other_stdin()


def _other_stdin() -> InvalidConfig:
    return InvalidConfig(
        "stdin is not what it was when the job began: give the same again, or another output"
    )


class Sink(Protocol):
    """Where shards go: a :class:`edge_tx.runtimes.batch_store.Store`, or a part of one."""

    @property
    def folder(self) -> Path:
        """Of the output."""

    @property
    def shards(self) -> Sized:
        """Those that are done."""

    def sum(self, name: str) -> int:
        """A count over all shards that are done."""

    def write(self, table: Table, shard: Shard, digest: str = "") -> None:
        """Makes a shard safe."""

    def bury(self, bad: list[dict[str, Any]], *, sync: bool = False) -> int:
        """Adds dead letters of a shard that will not be finished."""


class Run:
    """One run of a job.

    Args:
        store: The output.
        table: Schema of the shards.
        conveyor: The model.
        shard_rows: Input rows of a shard.
        ceiling: Of memory.
        limits: When to end early.
        total: Rows of the input, if known.
        tell: Called after each window.
    """

    def __init__(
        self,
        store: Sink,
        table: Table,
        conveyor: Conveyor,
        shard_rows: int,
        ceiling: Ceiling,
        limits: Limits,
        total: int | None,
        tell: Tell,
    ) -> None:
        self._store = store
        self._table = table
        self._conveyor = conveyor
        self._shard_rows = shard_rows
        self._ceiling = ceiling
        self._limits = limits
        self._total = total
        self._tell = tell
        self._flights: deque[tuple[int, list[Entry], Flight, str]] = deque()
        self._shard = Shard(len(store.shards))
        self._digest = ""
        self._writing: Future[None] | None = None
        self._resumed = store.sum("rows")
        self.rows = self._resumed
        self.tokens = 0
        self._bad = store.sum("bad")
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the first row."""
        return time.perf_counter() - self._began

    def go(self, found: Iterator[Entry], digest: Callable[[], str] = lambda: "") -> bool:
        """Answers rows until they end or the run is stopped.

        Args:
            found: The rows that are left.
            digest: Gives the digest of the rows that were read.

        Returns:
            Whether the input has ended.

        Raises:
            BatchStopped: There are too many bad rows.
            SessionFailed: The graph failed.
            OSError: The output cannot be written.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="edge-tx-write") as writer:
            try:
                finished = self._through(found, digest, writer)
                while self._flights:
                    self._land(writer)
                if self._shard.rows or self._shard.bad or not self._shard.number:
                    self._hand_over(writer)  # of an empty input one shard, which has the columns
                self._wait()
            finally:
                for _, _, flight, _ in self._flights:
                    flight.cancel()
        return finished

    def _through(
        self, found: Iterator[Entry], digest: Callable[[], str], writer: ThreadPoolExecutor
    ) -> bool:
        for number in count(self._shard.number):
            before = self.rows + sum(len(window) for _, window, _, _ in self._flights)
            shard = islice(found, self._shard_rows)
            for window in windows(shard, lambda entry: entry.length, self._ceiling.room):
                room = self._ceiling.room()
                good = [entry.item for entry in window if not entry.problem]
                flight = self._conveyor.put(good, room.budget)
                self._flights.append((number, window, flight, digest()))
                while len(self._flights) > room.windows:
                    self._land(writer)
            if self.rows + sum(len(window) for _, window, _, _ in self._flights) == before:
                return True
            if self._limits.stop():
                return False
        return True

    def _land(self, writer: ThreadPoolExecutor) -> None:
        """Takes the results of the oldest window."""
        number, window, flight, digest = self._flights[0]
        results = iter(flight.results())
        self._flights.popleft()
        if number != self._shard.number:
            self._hand_over(writer)
            self._shard = Shard(number)
        for entry in window:
            self._take(entry, InvalidInput(entry.problem) if entry.problem else next(results))
        self._digest = digest
        self._shard.tokens += flight.tokens
        self._shard.repeated += flight.repeated
        self.tokens += flight.tokens
        self.rows += len(window)
        self._say()

    def _take(self, entry: Entry, result: Any) -> None:
        shard = self._shard
        if not isinstance(result, InvalidInput):
            shard.rows.append(entry.row.number)
            shard.kept.append(entry.kept)
            shard.results.append(result)
            return
        shard.bad.append(_dead_letter(entry, result))
        self._bad += 1
        if self._limits.max_errors is not None and self._bad > self._limits.max_errors:
            self._give_up(result)

    def _give_up(self, last: InvalidInput) -> None:
        self._wait()
        self._store.bury(self._shard.bad)
        raise too_many(self._bad, self._limits, self._store.folder, str(last))

    def _hand_over(self, writer: ThreadPoolExecutor) -> None:
        """Has a shard written while the next is computed; one at a time is on the way."""
        self._wait()
        self._writing = writer.submit(self._store.write, self._table, self._shard, self._digest)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _say(self) -> None:
        rss_bytes = self._ceiling.look()
        seconds = max(self.seconds, 1e-9)
        self._tell(
            BatchProgress(
                rows=self.rows,
                total=self._total,
                bad=self._bad,
                rows_per_second=(self.rows - self._resumed) / seconds,
                tokens_per_second=self.tokens / seconds,
                rss_bytes=rss_bytes,
            )
        )


def too_many(bad: int, limits: Limits, folder: Path, last: str) -> BatchStopped:
    """The error of a job with more bad rows than are allowed."""
    return BatchStopped(
        f"{bad} bad rows, more than the {limits.max_errors} that were allowed (the last: {last}); "
        f"all are in {folder / DEAD_LETTERS}: mend the input and start anew, or allow more"
    )


def _dead_letter(entry: Entry, problem: InvalidInput) -> dict[str, Any]:
    row = entry.row
    named = {} if entry.name is None else {"id": _writable(shown(entry.name))}
    place = {"row": row.number, "file": row.file, "line": row.line}
    return {**place, **named, "reason": _writable(str(problem))}


def _writable(text: str) -> str:
    """A text without the lone surrogates that a bad row's message may quote."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
