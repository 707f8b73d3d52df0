"""Where a batch job's shards are computed: here, or on the machines of a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_tx.runtimes.batch_columns import Columns
from edge_tx.runtimes.batch_job import Settings
from edge_tx.runtimes.batch_layout import Layout
from edge_tx.runtimes.batch_memory import Ceiling, release
from edge_tx.runtimes.batch_report import Tell
from edge_tx.runtimes.batch_run import Limits, Run, entries, verified
from edge_tx.runtimes.batch_shards import Table
from edge_tx.runtimes.batch_sources import Source, SourceRow
from edge_tx.runtimes.batch_store import Store
from edge_tx.runtimes.model import Model

__all__ = ["ENGINES", "Done", "Work", "here"]


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
    release()  # what the measurement of layouts took
    settings, store = work.settings, work.store
    ceiling = Ceiling(settings.max_rss)
    conveyor = work.model.conveyor(**settings.options)
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
        expected = store.shards[-1]["digest"] if store.shards else ""
        rows = verified(rows, start, expected, digest)
    digested = digest.hexdigest if work.source.is_stdin else str
    finished = run.go(entries(rows, work.columns, conveyor), digested)
    return Done(finished, run.seconds, run.tokens, ceiling.peak)


ENGINES: Mapping[str, str] = {
    "local": "edge_tx.runtimes.batch_engines:here",
    "ray": "edge_tx.runtimes.batch_ray:on_cluster",
}
