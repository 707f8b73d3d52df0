"""Batch jobs: whole files through a model, resumable, each row exactly once.

Output is made in shards whose bytes depend on their rows alone, and each is recorded once it is
safe on disk (:mod:`edge_tx.runtimes.batch_store`). A job that was killed at any moment goes on
from its last shard, and its output is that of an undisturbed run, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_tx.bundle import Bundle
from edge_tx.runtimes.batch_flow import run_job
from edge_tx.runtimes.batch_job import Settings
from edge_tx.runtimes.batch_memory import parse_bytes
from edge_tx.runtimes.batch_report import BatchProgress, BatchReport
from edge_tx.runtimes.batch_sources import find

__all__ = ["batch"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def batch(
    bundle: str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    text: str | None = None,
    text_pair: str | None = None,
    id_column: str | None = None,
    keep: Sequence[str] = (),
    input_format: str = "auto",
    output_format: str = "parquet",
    embedding_type: str = "float32",
    shard_rows: int = 8192,
    max_errors: int | None = None,
    max_rss: str | int | None = None,
    options: Mapping[str, Any] | None = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    graph: str | None = None,
    streams: int | None = None,
    min_accuracy: float | None = None,
    backend_options: Mapping[str, str] | None = None,
    engine: str = "local",
    workers: int | None = None,
    progress: Callable[[BatchProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> BatchReport:
    """Answers every row of files, and goes on where an earlier call for the same job ended.

    Args:
        bundle: A bundle: a folder or an ``.etx`` file.
        source: Files of text, JSON lines, CSV, TSV, Parquet or Arrow, packed (``.gz``, ``.bz2``,
            ``.xz``, ``.zst``) or not: a file, a folder, a pattern, a list of these, or ``"-"`` for
            stdin.
        output: A folder; see :mod:`edge_tx.runtimes.batch_store`.
        text: Column of the text, where its name is not one that the task knows.
        text_pair: Column of a pair's second text.
        id_column: Column that names rows; it is carried through, and stands in dead letters.
        keep: Other columns to carry through.
        input_format: Of all files; ``"auto"`` by their names.
        output_format: ``"parquet"`` or ``"jsonl"``.
        embedding_type: ``"float32"``, ``"float16"``, or ``"int8"`` with a scale for each row.
        shard_rows: Input rows of an output file, and what a kill loses at most.
        max_errors: Most bad rows; any number if None.
        max_rss: Most resident memory, such as ``"600M"``: windows and batches shrink to stay below.
            Results may then differ by rounding (1e-6).
        options: The task's options, e.g. ``{"top_k": 3}``.
        backend: As for :func:`edge_tx.load`, like all that follow up to ``backend_options``.
        device: "
        threads: "
        graph: "
        streams: "
        min_accuracy: "
        backend_options: Its ``options``.
        engine: ``"local"``; or ``"ray"``: the same shards on the processes of a Ray cluster, whose
            machines all see bundle, input and output under the same paths.
        workers: Of the cluster; by default as many as its CPUs allow.
        progress: Called from time to time.
        stop: Asked at each shard's edge whether to stop there.

    Returns:
        What was done; ``finished`` is false if ``stop`` ended it.

    Raises:
        InvalidConfig: An option makes no sense, or the output is another job's; says what differs.
        InvalidInput: There is no such input, or a file of it is broken.
        MissingDependency: A format needs pyarrow.
        BatchStopped: There were too many bad rows, the output could not be written, or the memory
            is too small. What was done is kept.
        BundleError: The bundle is damaged, unsafe or too new.
        SessionFailed: The runtime failed.
    """
    opening = {
        "backend": backend,
        "device": device,
        "threads": threads,
        "graph": graph,
        "streams": streams,
        "min_accuracy": min_accuracy,
        "options": dict(backend_options or {}),
    }
    settings = Settings(
        text=text,
        text_pair=text_pair,
        id_column=id_column,
        keep=tuple(keep),
        input_format=input_format,
        output_format=output_format,
        embedding_type=embedding_type,
        shard_rows=shard_rows,
        max_errors=max_errors,
        max_rss=parse_bytes(max_rss),
        options=dict(options or {}),
        opening=opening,
        engine=engine,
        workers=workers,
    )
    return run_job(
        Bundle.open(bundle),
        find(source, input_format, Path(output)),
        Path(output),
        settings,
        progress or (lambda _progress: None),
        stop or (lambda: False),
    )
