"""Where a batch job's shards are computed: here, or on the machines of a cluster."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidInput
from edge_tx.runtimes.batch_columns import Columns
from edge_tx.runtimes.batch_job import Settings
from edge_tx.runtimes.batch_layout import Layout
from edge_tx.runtimes.batch_memory import SMALLEST, Ceiling, release, usage
from edge_tx.runtimes.batch_report import Tell
from edge_tx.runtimes.batch_run import Limits, Run, entries, verified
from edge_tx.runtimes.batch_shards import Shard, Table, shard_format
from edge_tx.runtimes.batch_sources import Source, SourceRow
from edge_tx.runtimes.batch_store import Store
from edge_tx.runtimes.conveyor import Conveyor, characters, windows
from edge_tx.runtimes.model import Model

__all__ = ["ENGINES", "Done", "Work", "here"]

# Windows that tell what a model takes when it runs: about a second for all-MiniLM-L6-v2.
_FIRST_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class Work:
    """What an engine is given.

    Attributes:
        bundle: Where the bundle is.
        source: The input.
        rows: Gives the input's rows from one on; of stdin, always all of them.
        columns: What is taken of them.
        settings: What the user chose.
        layout: Graph, streams and threads.
        model: The model, open in this layout.
        sample: Some of the inputs, where the memory has a ceiling.
        table: Schema of the shards.
        store: The output, with what is done already.
        limits: When to end early.
        total: Rows of the input, if known.
        tell: Called from time to time.
    """

    bundle: Path
    source: Source
    rows: Callable[[int], Iterator[SourceRow]]
    columns: Columns
    settings: Settings
    layout: Layout
    model: Model
    sample: Sequence[Any]
    table: Table
    store: Store
    limits: Limits
    total: int | None
    tell: Tell


@dataclass(frozen=True, slots=True)
class Done:
    """What an engine did.

    Attributes:
        finished: Whether the input has ended.
        seconds: From the first row on.
        tokens: That were read.
        peak_rss_bytes: Most resident memory that was seen, of one process.
    """

    finished: bool
    seconds: float
    tokens: int
    peak_rss_bytes: int


def here(work: Work) -> Done:
    """Computes a job in this process."""
    settings, store = work.settings, work.store
    conveyor = work.model.conveyor(**settings.options)
    if work.sample:
        _begin(conveyor, work)
    release()  # what the measurement of layouts took
    ceiling = Ceiling(settings.max_rss)
    run = Run(
        store,
        work.table,
        conveyor,
        settings.shard_rows,
        ceiling,
        work.limits,
        work.total,
        work.tell,
    )
    start, digest = store.sum("rows"), hashlib.sha256()
    rows = work.rows(start)
    if work.source.is_stdin:
        rows = verified(rows, start, store.digest, digest)
    digested = digest.hexdigest if work.source.is_stdin else str
    finished = run.go(entries(rows, work.columns, conveyor), digested)
    # The last shard is written after the ceiling's last look.
    return Done(finished, run.seconds, run.tokens, max(ceiling.peak, usage().peak))


def _begin(conveyor: Conveyor, work: Work) -> None:
    """Runs the smallest windows there are, of the longest inputs, and writes them nowhere.

    What the runtime and the writer take for themselves is then seen before a row counts.
    """
    longest = sorted(work.sample, key=characters, reverse=True)
    shard = Shard(0)
    for window in islice(windows(longest, characters, lambda: SMALLEST), _FIRST_WINDOWS):
        found = conveyor.put(window, SMALLEST.budget).results()
        shard.results += [result for result in found if not isinstance(result, InvalidInput)]
    shard.rows = list(range(len(shard.results)))
    shard.kept = [[None] * len(work.table.kept) for _ in shard.rows]
    with Path(os.devnull).open("wb") as nowhere:
        shard_format(work.settings.output_format).write(work.table, shard, nowhere)


ENGINES: Mapping[str, str] = {
    "local": "edge_tx.runtimes.batch_engines:here",
    "ray": "edge_tx.runtimes.batch_ray:on_cluster",
}
