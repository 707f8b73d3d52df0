"""What a batch job tells: while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["BatchProgress", "BatchReport", "Tell"]


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a job is.

    Attributes:
        rows: Input rows that are done, those of earlier runs included.
        total: Rows of the input, estimated for files of lines; None if it is not known.
        bad: Rows in the dead-letter file.
        rows_per_second: Of this run.
        tokens_per_second: Of this run.
        rss_bytes: Resident memory now.
    """

    rows: int
    total: int | None
    bad: int
    rows_per_second: float
    tokens_per_second: float
    rss_bytes: int


Tell = Callable[[BatchProgress], None]


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a job did.

    Attributes:
        output: The folder.
        finished: Whether the whole input is done; if not, the same job goes on.
        rows: Input rows that are done, by all runs of the job.
        answered: Of these, rows that have a result.
        bad: Of these, rows in the dead-letter file.
        repeated: Of the answered ones, those whose answer another row had.
        truncated: Of the answered ones, those that were too long and were cut.
        tokens: Tokens that were read, special ones included.
        shards: Output files.
        resumed_rows: Rows that earlier runs had done.
        seconds: Of this run, opening the model included.
        rows_per_second: Of this run, from its first row to its end.
        tokens_per_second: As above.
        peak_rss_bytes: Most resident memory of the process.
        graph: Name of the graph; empty if there was nothing left to do.
        streams: Batches side by side.
        threads: CPU threads in all.
        runtime: Vendor's runtime and version.
        measured: Tokens per second of each layout that was tried.
        stamp: Of the embeddings; see :mod:`edge_tx.stamps`.
        dead_letters: The file of bad rows; empty if there are none.
    """

    output: str
    finished: bool
    rows: int
    answered: int
    bad: int
    repeated: int
    truncated: int
    tokens: int
    shards: int
    resumed_rows: int
    seconds: float
    rows_per_second: float
    tokens_per_second: float
    peak_rss_bytes: int
    graph: str
    streams: int
    threads: int
    runtime: str
    measured: Mapping[str, float]
    stamp: str
    dead_letters: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
