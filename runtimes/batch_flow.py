"""How a batch job goes: look into the input, find or begin the job, open the model, run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path

from edge_tx.backends import resolve as resolve_name
from edge_tx.bundle import Bundle
from edge_tx.errors import BatchStopped, EdgeTxError, InvalidConfig, InvalidInput
from edge_tx.runtimes.batch_columns import Columns, resolve
from edge_tx.runtimes.batch_engines import ENGINES, Done, Work
from edge_tx.runtimes.batch_job import Job, Settings, versions
from edge_tx.runtimes.batch_layout import Layout, choose_layout, open_layout
from edge_tx.runtimes.batch_memory import forget_peak, rss_bytes
from edge_tx.runtimes.batch_report import BatchProgress, BatchReport
from edge_tx.runtimes.batch_run import Limits, verified
from edge_tx.runtimes.batch_shards import Table, place_file, shard_format
from edge_tx.runtimes.batch_sources import Source, SourceRow
from edge_tx.runtimes.batch_store import DEAD_LETTERS, REPORT, Store
from edge_tx.runtimes.conveyor import WINDOW
from edge_tx.runtimes.model import Model
from edge_tx.strict_json import dumps
from edge_tx.tuning_store import bundle_hash

__all__ = ["run_job"]

# Rows that are looked at for the columns and their types, and to measure with.
_BEGINNING = 1024
# A measurement of a few seconds must be a small part of the job: this many rows, if known.
_WORTH_MEASURING = 4 * WINDOW.rows


@dataclass(frozen=True, slots=True)
class _Input:
    """The input of a job, looked into.

    Attributes:
        columns: What is taken of its rows.
        rows: Gives its rows from one on; of stdin, always all of them.
        total: How many there are, if known.
        beginning: The first of them.
        job: The job that they make with the settings.
    """

    columns: Columns
    rows: Callable[[int], Iterator[SourceRow]]
    total: int | None
    beginning: list[SourceRow]
    job: Job


def run_job(
    bundle: Bundle,
    source: Source,
    output: Path,
    settings: Settings,
    tell: Callable[[BatchProgress], None],
    stop: Callable[[], bool],
) -> BatchReport:
    """Runs a job, or what is left of it.

    Args:
        bundle: The bundle.
        source: The input.
        output: The folder for the output.
        settings: What the user chose.
        tell: Called after each window.
        stop: Asked at each shard's edge whether to stop there.
    """
    began = time.perf_counter()
    if settings.max_rss is not None:
        forget_peak()
    shards = shard_format(settings.output_format)
    taken = _look_into(bundle, source, settings)
    with ExitStack() as stack:
        stack.enter_context(_going_on(output))
        store = Store.open(output, taken.job, shards)
        stack.callback(store.close)
        resumed = store.sum("rows")
        if store.is_finished:
            _read_over(source, taken, store)
            report = _report(store, resumed, began)
            if not (output / REPORT).exists():  # a kill came between the end and its report
                _write_report(report, output)
            return report
        layout, model = _open(bundle, settings, taken, store)
        stack.callback(model.close)
        table = _table(model, layout, taken.columns, settings)
        limits = Limits(settings.max_errors, stop)
        work = Work(
            bundle=bundle.origin,
            source=source,
            rows=taken.rows,
            columns=taken.columns,
            settings=settings,
            layout=layout,
            model=model,
            sample=[] if settings.max_rss is None else list(_sample(bundle, settings, taken)),
            table=table,
            store=store,
            limits=limits,
            total=taken.total,
            tell=tell,
        )
        done = resolve_name(ENGINES[settings.engine])(work)
        if done.finished:
            store.finish()
        report = _report(store, resumed, began, done, layout, model.stamp)
        _write_report(report, output)
    return report


def _read_over(source: Source, taken: _Input, store: Store) -> None:
    """Sees that a stream is the one that a finished job was of; files are told by their hashes.

    Raises:
        InvalidConfig: It is another.
    """
    if not source.is_stdin:
        return
    done = store.sum("rows")
    for row in verified(taken.rows(0), done, store.digest, hashlib.sha256()):
        raise InvalidConfig(
            f"stdin has row {row.number}, and {store.folder} is finished with {done} rows: "
            "choose another output"
        )


def _write_report(report: BatchReport, output: Path) -> None:
    with place_file(output / REPORT) as file:
        file.write(dumps(report.to_dict(), indent=2))


def _look_into(bundle: Bundle, source: Source, settings: Settings) -> _Input:
    inputs, total = source.identify()
    types = source.types()
    # Of tables with types nothing is read but what is wanted: another column may hold what Python
    # has no value for.
    live = source.rows()
    beginning = [] if types else list(islice(live, _BEGINNING))
    columns = resolve(
        bundle.manifest.task,
        [row.values for row in beginning if not row.problem],
        types,
        text=settings.text,
        text_pair=settings.text_pair,
        id_column=settings.id_column,
        keep=settings.keep,
    )
    if types:
        source.agree({column.name: column.type for column in columns.kept})
        beginning = list(islice(source.rows(0, columns.wanted), _BEGINNING))
    job = Job(
        bundle=bundle_hash(bundle),
        inputs=inputs,
        columns=columns.inputs,
        kept={column.name: column.kind for column in columns.kept},
        output_format=settings.output_format,
        embedding_type=settings.embedding_type,
        shard_rows=settings.shard_rows,
        options=settings.options,
        opening=settings.opening,
        versions=versions(),
    )

    def rows(start: int) -> Iterator[SourceRow]:
        if source.is_stdin:
            return chain(beginning, live)
        return source.rows(start, columns.wanted)

    return _Input(columns, rows, total, beginning, job)


def _open(bundle: Bundle, settings: Settings, taken: _Input, store: Store) -> tuple[Layout, Model]:
    """The model in the layout of the job's earlier runs, or in the one that measures best."""
    known = store.layout
    if known is None:
        measures = (
            settings.max_rss is None and (taken.total or _WORTH_MEASURING) >= _WORTH_MEASURING
        )
        sample = list(_sample(bundle, settings, taken)) if measures else []
        layout, model = choose_layout(bundle, settings.opening, settings.options, sample)
        store.journal.append("layout", **asdict(layout))
        return layout, model
    layout = Layout(**{name: value for name, value in known.items() if name != "kind"})
    model = open_layout(bundle, settings.opening, layout)
    runtime = model.describe().placement.runtime
    if runtime != layout.runtime:
        model.close()
        raise InvalidConfig(
            f"{store.folder} was begun with {layout.runtime}, and {runtime} would round otherwise: "
            "install that version to go on, or choose another output"
        )
    return layout, model


def _sample(bundle: Bundle, settings: Settings, taken: _Input) -> Iterator[object]:
    """Inputs that can be used, of the first rows."""
    from edge_tx import tasks

    task = tasks.create(bundle.manifest.task, bundle.manifest.settings)
    options = task.options(**settings.options)
    for row in taken.beginning:
        if not row.problem:
            try:
                yield task.parse(taken.columns.value(row.values), options)
            except InvalidInput:
                continue


def _table(model: Model, layout: Layout, columns: Columns, settings: Settings) -> Table:
    manifest = model.bundle.manifest
    facts = {
        "task": manifest.task,
        "source": manifest.source.name,
        "graph": layout.graph,
        "stamp": model.stamp,
    }
    dim = settings.options.get("dimensions") or model.dimensions
    return Table(manifest.task, columns.kept, dim, settings.embedding_type, facts)


@contextmanager
def _going_on(output: Path) -> Iterator[None]:
    """Turns what the system refuses into one line that says how to go on."""
    try:
        yield
    except OSError as exc:
        if isinstance(exc, EdgeTxError):
            raise
        where = exc.filename or output
        raise BatchStopped(
            f"cannot write {where}: {exc.strerror or exc}; what is done is kept: put that right, "
            "and the same job goes on"
        ) from exc


def _report(
    store: Store,
    resumed: int,
    began: float,
    done: Done | None = None,
    layout: Layout | None = None,
    stamp: str = "",
) -> BatchReport:
    rows, bad = store.sum("rows"), store.sum("bad")
    seconds = done.seconds if done else 0.0
    chosen = layout or Layout("", 0, 0, "", {})
    return BatchReport(
        output=str(store.folder),
        finished=store.is_finished,
        rows=rows,
        answered=rows - bad,
        bad=bad,
        repeated=store.sum("repeated"),
        truncated=store.sum("truncated"),
        tokens=store.sum("tokens"),
        shards=len(store.shards),
        resumed_rows=resumed,
        seconds=round(time.perf_counter() - began, 3),
        rows_per_second=round((rows - resumed) / seconds, 1) if seconds else 0.0,
        tokens_per_second=round(done.tokens / seconds, 1) if done and seconds else 0.0,
        peak_rss_bytes=done.peak_rss_bytes if done else rss_bytes(),
        graph=chosen.graph,
        streams=chosen.streams,
        threads=chosen.threads,
        runtime=chosen.runtime,
        measured=chosen.measured,
        stamp=stamp,
        dead_letters=str(store.folder / DEAD_LETTERS) if bad else "",
    )
