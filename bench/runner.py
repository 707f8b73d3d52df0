"""Runs cells, each in a fresh process, and gathers a report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge_tx import backends, packaging, vendors
from edge_tx.bench.cell import Cell
from edge_tx.bundle import Bundle
from edge_tx.device import DeviceInfo
from edge_tx.errors import EdgeTxError, InvalidConfig
from edge_tx.manifest import Graph
from edge_tx.report import Report, ReportContext, ReportRow
from edge_tx.runtimes.selection import check_limit, too_inaccurate
from edge_tx.stats import LatencyStats, throughput

__all__ = ["Plan", "in_fresh_process", "obstacles", "run", "texts_of"]

Progress = Callable[[str, int, int], None]

# The list that throughput is measured on has at least this many inputs.
_LIST = 256
# A cell may take this much longer than the time it is asked to spend, for loading and warm-up.
_PATIENCE_S = 600


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure of a bundle.

    Attributes:
        graphs: Names of graphs; empty for all.
        backend: Only graphs of this backend; ``"auto"`` for every backend.
        device: Device to run on.
        threads: CPU threads; None for the physical cores that this process may use.
        inputs: Inputs of the task: the first is timed alone, all of them as a list; empty for
            the texts of the bundle's golden answers.
        options: The task's options.
        vendor: The vendor's own settings, for graphs or a backend that are named.
        seconds: Time to spend at least on single calls, and again on lists.
        min_accuracy: Only graphs of at least this accuracy (:mod:`edge_tx.accuracy`); None for
            all.
    """

    graphs: tuple[str, ...] = ()
    backend: str = "auto"
    device: str = "auto"
    threads: int | None = None
    inputs: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    vendor: tuple[tuple[str, str], ...] = ()
    seconds: float = 1.0
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_limit(self.min_accuracy)
        if self.threads is not None and self.threads < 1:
            raise InvalidConfig(f"threads must be 1 or more, not {self.threads}")
        if not 0 < self.seconds <= 3600:
            raise InvalidConfig(f"seconds must be over 0 and at most 3600, not {self.seconds}")
        vendors.options_of(dict(self.vendor), bool(self.graphs) or self.backend != "auto")


def run(path: str | Path, plan: Plan | None = None, progress: Progress | None = None) -> Report:
    """Measures a bundle's graphs on this device.

    A cell that cannot run is a row that says why; the others go on.

    Args:
        path: A bundle: a folder or an ``.etx`` file.
        plan: What to measure.
        progress: Called with what is measured next, how many cells are done, and of how many.

    Raises:
        BundleError: The bundle cannot be opened.
        UnknownName: A graph or backend that it does not have.
    """
    plan = plan or Plan()
    bundle = Bundle.open(path)
    device = DeviceInfo.probe()
    threads = plan.threads or device.cpu.usable_threads
    plan = replace(plan, threads=threads)
    graphs = _chosen(bundle, plan)
    rows: list[ReportRow] = []
    for done, graph in enumerate(graphs):
        if progress is not None:
            progress(graph.name, done, len(graphs))
        rows.append(_row(bundle, graph, plan))
    if progress is not None:
        progress("", len(graphs), len(graphs))
    context = ReportContext(
        device=device.to_dict(),
        versions=_versions(graphs),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=bundle.manifest.source.name,
        task=bundle.manifest.task,
        settings={"seconds": plan.seconds, "threads": threads, "device": plan.device},
    )
    return Report(context, tuple(rows))


def obstacles(path: str | Path, plan: Plan) -> list[EdgeTxError]:
    """Why graphs of a plan cannot run here; one for each that cannot."""
    with Bundle.open(path) as bundle:
        found = [_obstacle(bundle, graph, plan) for graph in _chosen(bundle, plan)]
    return [error for error in found if error is not None]


def _obstacle(bundle: Bundle, graph: Graph, plan: Plan) -> EdgeTxError | None:
    config = backends.SessionConfig(plan.device, options=plan.vendor)
    return vendors.obstacle(graph.backend, bundle.root / graph.entry, config)


def _chosen(bundle: Bundle, plan: Plan) -> tuple[Graph, ...]:
    if plan.graphs:
        return tuple(bundle.graph(name) for name in plan.graphs)
    return bundle.graphs_of(plan.backend)


def _row(bundle: Bundle, graph: Graph, plan: Plan) -> ReportRow:
    row = ReportRow(
        graph=graph.name,
        backend=graph.backend,
        precision=graph.precision,
        threads=plan.threads or 1,
        batch=1,
        seq=0,
        size_bytes=graph.size,
        parity=graph.parity,
    )
    refusal = too_inaccurate(graph, bundle.graphs, plan.min_accuracy)
    if refusal:
        return replace(row, status="skipped", note=refusal)
    obstacle = _obstacle(bundle, graph, plan)
    if obstacle is not None:
        note = "; ".join(filter(None, (packaging.status(graph), f"not run here: {obstacle}")))
        return replace(row, status="skipped", note=note)
    answer = in_fresh_process(_cell(bundle, graph, plan))
    if "error" in answer:
        return replace(row, status="failed", note=str(answer["error"]))
    return replace(
        row,
        load_ns=answer["load_ns"],
        first_answer_ns=answer["first_ns"],
        latency=LatencyStats.of(answer["samples_ns"]),
        samples_ns=tuple(answer["samples_ns"]),
        throughput=throughput(answer["list_inputs"], answer["list_ns"]),
        peak_rss_bytes=answer["peak_rss_bytes"],
    )


def _cell(bundle: Bundle, graph: Graph, plan: Plan) -> Cell:
    inputs, options = texts_of(bundle, plan.inputs, dict(plan.options))
    repeats = -(-_LIST // len(inputs))
    return Cell(
        bundle=str(bundle.root),
        graph=graph.name,
        device=plan.device,
        threads=plan.threads or 1,
        inputs=inputs * repeats,
        options=options,
        vendor=dict(plan.vendor),
        min_ns=int(plan.seconds * 1e9),
    )


def texts_of(
    bundle: Bundle, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs that were given, or those of the golden answers, with their options.

    Raises:
        InvalidConfig: None were given, and the bundle has no golden answers.
    """
    if inputs:
        return inputs, options
    cases = bundle.golden().cases
    if not cases:
        raise InvalidConfig(f"{bundle.origin} has no golden answers to measure with: give inputs")
    same = tuple(c.input for c in cases if c.options == cases[0].options)
    return same, {**cases[0].options, **options}


def in_fresh_process(cell: Cell) -> dict[str, Any]:
    """Measures a cell: the fields of :class:`Measured`, or ``{"error": why it failed}``."""
    command = [sys.executable, "-m", "edge_tx.bench.cell"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(cell)),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S + 4 * cell.min_ns / 1e9,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        return {"error": f"gave no answer in {exc.timeout:.0f} s"}
    if done.returncode != 0:
        return {"error": _last_words(done)}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"the process was killed by signal {-done.returncode}"
    lines: Sequence[str] = done.stderr.strip().splitlines() or ["no message"]
    return f"the process ended with exit code {done.returncode}: {lines[-1][:300]}"


def _versions(graphs: Sequence[Graph]) -> dict[str, str]:
    modules = {m for g in graphs if (row := backends.known().get(g.backend)) for m in row.modules}
    packages = ["edge-tx", "numpy", "tokenizers", *sorted(modules - {"numpy"})]
    found = {package: _version(package.replace("_", "-")) for package in packages}
    return {package: number for package, number in found.items() if number}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
