"""``edge-tx batch``: answers files of any size, and survives being killed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli import reading
from edge_tx.cli.failures import INTERRUPTED
from edge_tx.cli.opening import model_options
from edge_tx.cli.screen import Screen, facts, human_bytes, output_options

if TYPE_CHECKING:
    from edge_tx.runtimes.batch_report import BatchProgress, BatchReport

# Where there is no terminal to draw on, in a log, say.
_SECONDS_BETWEEN_LINES = 60

_INPUT_FORMATS = ("auto", "text", "jsonl", "csv", "tsv", "parquet", "arrow")


@click.command("batch")
@click.argument("bundle", type=click.Path())
@click.argument("source", type=click.Path(allow_dash=True), metavar="INPUT")
@click.option("-o", "--output", required=True, type=click.Path(), help="The folder to write.")
@click.option("--text", help="Column of the text, if its name is not one that the task knows.")
@click.option("--text-pair", help="Column of a pair's second text.")
@click.option("--id", "id_column", help="Column that names rows; it is carried through.")
@click.option("--keep", default="", help="More columns to carry through, with commas.")
@click.option(
    "--input-format",
    type=click.Choice(_INPUT_FORMATS),
    default="auto",
    show_default=True,
    help="Of all files; auto tells it by their names.",
)
@click.option(
    "--output-format",
    type=click.Choice(("parquet", "jsonl")),
    default="parquet",
    show_default=True,
    help="Of the files in the output folder.",
)
@click.option(
    "--embedding-type",
    type=click.Choice(("float32", "float16", "int8")),
    default="float32",
    show_default=True,
    help="Of embeddings; int8 has a scale for each row.",
)
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    default=8192,
    show_default=True,
    help="Input rows of an output file; a kill loses no more than these.",
)
@click.option("--max-errors", type=click.IntRange(min=0), help="Stop at more bad rows than this.")
@click.option("--max-rss", metavar="SIZE", help="Keep below this much memory, e.g. 600M.")
@click.option(
    "--too-long",
    type=click.Choice(("truncate", "error")),
    help="What becomes of a text that is too long; error makes it a bad row.",
)
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    help="Batches side by side; by default what a short measurement finds.",
)
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Where shards are computed: in this process, or on a Ray cluster.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes on the cluster.")
@click.option(
    "--option",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the task, e.g. top_k=3. May be given several times.",
)
@model_options
@output_options
def command(
    bundle: str,
    source: str,
    output: str,
    keep: str,
    too_long: str | None,
    streams: int | None,
    pairs: tuple[str, ...],
    opening: Mapping[str, Any],
    screen: Screen,
    **settings: Any,
) -> int:
    """Answer every row of files; the same command goes on after a kill.

    INPUT is a file, a folder, a pattern in quotes, or - for stdin: text, JSON lines, CSV, TSV,
    Parquet or Arrow, packed (.gz, .bz2, .xz, .zst) or not. Ctrl-C stops at the next output
    file's end, a second one at once. Exits with 130 if it was stopped so.
    """
    from edge_tx.runtimes.batch import batch

    options = reading.options(pairs) | ({} if too_long is None else {"too_long": too_long})
    model = {name: value for name, value in opening.items() if name != "options"}
    with _bar(screen) as tell, _stoppable(screen) as stop:
        report = batch(
            bundle,
            source,
            output,
            keep=tuple(name.strip() for name in keep.split(",") if name.strip()),
            options=options,
            streams=streams,
            backend_options=opening["options"],
            progress=tell,
            stop=stop,
            **model,
            **settings,
        )
    screen.result(report.to_dict(), facts(_rows(report)))
    if report.finished:
        return 0
    screen.remark(f"stopped after {report.rows:,} rows: the same command goes on")
    return INTERRUPTED


@contextmanager
def _stoppable(screen: Screen) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the job to end at a shard's edge; the second is as everywhere."""
    asked = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)
        screen.remark("stopping when this output file is whole; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(screen: Screen) -> Iterator[Callable[[BatchProgress], None]]:
    """Shows how far the job is on stderr."""
    if screen.quiet:
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(4, min(24, console.width - 84))),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("opening and measuring", total=None, speed="")

        said = time.monotonic()

        def tell(now: BatchProgress) -> None:
            nonlocal said
            done, speed = _done(now), _speed(now)
            total = max(now.total, now.rows) if now.total else None
            bar.update(task, description=done, completed=now.rows, total=total, speed=speed)
            if hidden and time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                screen.remark(f"{done}  {speed}")

        yield tell


def _done(now: BatchProgress) -> str:
    of = f" of {now.total:,}" if now.total else ""
    bad = f", {now.bad:,} bad" if now.bad else ""
    return f"{now.rows:,}{of} rows{bad}"


def _speed(now: BatchProgress) -> str:
    rates = f"{now.rows_per_second:,.0f} rows/s  {now.tokens_per_second:,.0f} tok/s"
    return f"{rates}  {now.rss_bytes / 1e6:,.0f} MB"


def _rows(report: BatchReport) -> dict[str, object]:
    """What the report says, in words."""
    resumed = f", {report.resumed_rows:,} of them by earlier runs" if report.resumed_rows else ""
    repeated = f", {report.repeated:,} like another row" if report.repeated else ""
    speed = (
        f"{report.rows_per_second:,.0f} rows/s, {report.tokens_per_second:,.0f} tokens/s "
        f"in {report.seconds:,.1f} s"
    )
    tried = "; ".join(f"{name}: {rate:,.0f} tokens/s" for name, rate in report.measured.items())
    threads = f"{report.streams} x {report.threads // max(report.streams, 1)} threads"
    return {
        "output": f"{report.output} ({report.shards:,} files)",
        "rows": f"{report.rows:,}{resumed}",
        "answered": f"{report.answered:,}{repeated}",
        "cut": f"{report.truncated:,} texts that were too long" if report.truncated else "",
        "bad": f"{report.bad:,}, see {report.dead_letters}" if report.bad else "",
        "speed": speed if report.graph else "",
        "ran on": f"{report.graph}, {threads}, {report.runtime}" if report.graph else "",
        "measured": tried,
        "memory": human_bytes(report.peak_rss_bytes),
    }
