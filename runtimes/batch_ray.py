"""A batch job on a Ray cluster: the shards of the local engine, computed by many processes.

Ray Data hands shard numbers to a pool of actors. Each opens the model once, reads its own rows and
writes their file into the output folder, which all machines must see under one path, like the
bundle and the input. Only this process writes the journal, in the shards' order, so that a job may
be killed, taken up again, and finished by either engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sized
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from edge_tx.bundle import Bundle
from edge_tx.errors import BatchStopped, InvalidConfig, MissingDependency
from edge_tx.runtimes.batch_columns import Columns
from edge_tx.runtimes.batch_engines import Done, Work
from edge_tx.runtimes.batch_job import Settings
from edge_tx.runtimes.batch_layout import Layout, open_layout
from edge_tx.runtimes.batch_memory import Ceiling, rss_bytes, usage
from edge_tx.runtimes.batch_report import BatchProgress
from edge_tx.runtimes.batch_run import Entry, Limits, Run, entries, too_many
from edge_tx.runtimes.batch_shards import Shard, Table, shard_format
from edge_tx.runtimes.batch_sources import Source
from edge_tx.runtimes.batch_store import Part, write_part

__all__ = ["on_cluster"]


@dataclass(frozen=True, slots=True)
class _Task:
    """What an actor needs; it must travel between machines."""

    bundle: str
    source: Source
    columns: Columns
    settings: Settings
    layout: Layout
    table: Table
    folder: str


def on_cluster(work: Work) -> Done:
    """Computes a job on the Ray cluster that this process is connected to, or on a local one.

    Raises:
        MissingDependency: Ray is not installed.
        InvalidConfig: The input is stdin, or a memory ceiling is asked for.
        BatchStopped: There are too many bad rows.
    """
    ray = _ray()
    if work.source.is_stdin:
        raise InvalidConfig("stdin cannot be read by many processes: write it to a file")
    if work.settings.max_rss is not None:
        raise InvalidConfig("max_rss is of the local engine: give Ray's workers a memory limit")
    work.model.close()  # the actors open their own
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="error")
    began = time.perf_counter()
    finished, tokens, peak = _collect(work, _parts(ray, work), began)
    return Done(finished, time.perf_counter() - began, tokens, peak)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as exc:
        raise MissingDependency("ray", "the engine 'ray'", "pip install 'edge-tx[ray]'") from exc
    return ray


def _parts(ray: Any, work: Work) -> Iterator[tuple[Part, int]]:
    """The shards that are left, in their order, each with the peak of its worker's memory."""
    first, size = len(work.store.shards), work.settings.shard_rows
    rows = work.total
    if rows is None:
        rows = sum(1 for _ in work.source.rows(0, work.columns.wanted))
    last = max(-(-rows // size), 1)
    if first >= last:
        return
    threads = work.layout.threads
    cpus = int(ray.cluster_resources().get("CPU", 1))
    workers = min(work.settings.workers or max(1, cpus // threads), last - first)
    is_cpu = work.settings.opening.get("device", "auto") in ("auto", "cpu")
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    task = _Task(
        bundle=str(work.bundle.resolve()),
        source=replace(work.source, paths=tuple(str(Path(p).resolve()) for p in work.source.paths)),
        columns=work.columns,
        settings=work.settings,
        layout=work.layout,
        table=work.table,
        folder=str(work.store.folder.resolve()),
    )
    # Of items, not of a range: reading a range takes a CPU, and the actors may hold them all.
    numbers = [{"number": number} for number in range(first, last)]
    done = ray.data.from_items(numbers, override_num_blocks=len(numbers)).map_batches(
        _Actor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=min(threads, max(cpus // workers, 1)),
        num_gpus=0 if is_cpu else 1,
        fn_constructor_args=(task,),
    )
    for row in _told(ray, done.iter_rows()):
        fields = json.loads(row["part"])
        if fields is not None:
            yield Part(**{**fields, "bad": tuple(fields["bad"])}), int(row["peak_rss_bytes"])


def _told(ray: Any, rows: Iterator[Any]) -> Iterator[Any]:
    """Rows, with what a worker raised as one line of ours."""
    try:
        yield from rows
    except ray.exceptions.RayError as exc:
        line = " ".join(str(getattr(exc, "cause", None) or exc).split())
        raise BatchStopped(
            f"a worker of the cluster failed: {line[:300]}; the same job goes on"
        ) from exc


def _collect(work: Work, parts: Iterator[tuple[Part, int]], began: float) -> tuple[bool, int, int]:
    """Takes parts into the journal; gives whether the input has ended, the tokens, the memory."""
    store, limits, tokens, peak = work.store, work.limits, 0, usage().peak
    resumed, bad = store.sum("rows"), store.sum("bad")
    for part, its_peak in parts:
        peak = max(peak, its_peak)
        bad += len(part.bad)
        if limits.max_errors is not None and bad > limits.max_errors:
            store.bury(list(part.bad))
            raise too_many(bad, limits, store.folder, part.bad[-1]["reason"])
        store.record(part)
        tokens += part.tokens
        seconds = max(time.perf_counter() - began, 1e-9)
        rows = store.sum("rows")
        rates = (rows - resumed) / seconds, tokens / seconds
        work.tell(BatchProgress(rows, work.total, bad, *rates, rss_bytes()))
        if limits.stop():
            return False, tokens, peak
    return True, tokens, peak


class _Actor:
    """A process of the pool: it opens the model once and computes shard after shard."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        model = open_layout(Bundle.open(task.bundle), task.settings.opening, task.layout)
        self._conveyor = model.conveyor(**task.settings.options)
        self._position = 0
        self._entries = self._from(0)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Computes one shard; gives its :class:`Part` as JSON, or ``null`` past the end."""
        number = int(batch["number"][0])
        size = self._task.settings.shard_rows
        if number * size < self._position:
            self._entries, self._position = self._from(number * size), number * size
        skipped = sum(1 for _ in islice(self._entries, number * size - self._position))
        self._position += skipped + size
        sink = _OnePart(self._task, number)
        run = Run(
            sink,
            self._task.table,
            self._conveyor,
            size,
            Ceiling(None),
            Limits(None, lambda: True),
            None,
            lambda _progress: None,
        )
        run.go(islice(self._entries, size))
        part = json.dumps(asdict(sink.part) if sink.part else None)
        return {"part": [part], "peak_rss_bytes": [usage().peak]}

    def _from(self, start: int) -> Iterator[Entry]:
        rows = self._task.source.rows(start, self._task.columns.wanted)
        return entries(rows, self._task.columns, self._conveyor)


class _OnePart:
    """A sink for one shard; see :class:`edge_tx.runtimes.batch_run.Sink`."""

    def __init__(self, task: _Task, number: int) -> None:
        self.folder = Path(task.folder)
        self.shards: Sized = range(number)
        self.part: Part | None = None
        self._format = shard_format(task.settings.output_format)

    def sum(self, name: str) -> int:
        """Nothing: other shards are other actors'."""
        return 0

    def write(self, table: Table, shard: Shard, digest: str = "") -> None:
        """Writes the shard's file."""
        self.part = write_part(self.folder, self._format, table, shard)

    def bury(self, bad: list[dict[str, Any]], *, sync: bool = False) -> int:
        """Nothing: dead letters travel with the part."""
        return 0
