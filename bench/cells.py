"""The cells of a sweep: what is measured of each bundle, and what cannot be, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_tx import backends, packaging, vendors
from edge_tx.backends import resolve
from edge_tx.bench import accuracy, loadgen
from edge_tx.bench.cell import Cell, Scoring, Trial
from edge_tx.bench.inputs import Material, texts_of
from edge_tx.bench.plan import Plan, Subject
from edge_tx.bench.reference import find_reference
from edge_tx.bench.sweep import Point
from edge_tx.bundle import Bundle
from edge_tx.device import hardware_threads
from edge_tx.errors import EdgeTxError, InvalidConfig
from edge_tx.examples import read_examples
from edge_tx.manifest import Graph
from edge_tx.metric_table import find_metric
from edge_tx.report import ReportModel, ReportRow
from edge_tx.runtimes.selection import too_inaccurate

__all__ = ["Job", "Opened", "jobs_of", "obstacles", "open_all"]

# Inputs of the list that throughput is measured on: enough batches for every stream, and not
# more tokens than are needed for that.
_LIST = 256
_LEAST = 64
_TOKENS = 8192


@dataclass(frozen=True)
class Opened:
    """A model of a report.

    Attributes:
        model: As the report names it.
        subject: What was asked for.
        bundle: Open; None if it could not be.
        error: Why it could not be.
    """

    model: ReportModel
    subject: Subject
    bundle: Bundle | None = None
    error: EdgeTxError | None = None


@dataclass(frozen=True)
class Job:
    """A cell and its row.

    Attributes:
        row: With what is known before it is measured; final if there is no cell.
        cell: What to measure; None where that cannot be done.
    """

    row: ReportRow
    cell: Cell | None = None


def open_all(subjects: Sequence[Subject], plan: Plan) -> list[Opened]:
    """Opens the bundles; one of several that cannot be opened is noted.

    Raises:
        BundleError: There is one alone, and it cannot be opened.
        InvalidConfig: There is none, or a metric is not for a bundle's task.
        UnknownName: No bundle has a graph or backend of the plan.
    """
    if not subjects:
        raise InvalidConfig("nothing to measure: give a bundle")
    found: list[Opened] = []
    for subject in subjects:
        taken = [one.model.name for one in found]
        try:
            found.append(_open(subject, taken))
        except EdgeTxError as exc:
            if len(subjects) == 1:
                raise
            name = _unique(Path(subject.bundle).stem, taken)
            model = ReportModel(name, "", "", subject.given or subject.bundle)
            found.append(Opened(model, subject, error=exc))
    for one in found:
        if one.bundle is not None:
            _check(one.bundle, plan)
    return found


def _open(subject: Subject, taken: Sequence[str]) -> Opened:
    bundle = Bundle.open(subject.bundle)
    manifest = bundle.manifest
    name = _unique(Path(manifest.source.name).name or bundle.origin.stem, taken)
    model = ReportModel(
        name=name,
        task=manifest.task,
        source=manifest.source.name,
        bundle=subject.given or subject.bundle,
        parameters=manifest.source.parameters,
        max_length=manifest.tokenizer.max_length,
    )
    return Opened(model, subject, bundle)


def _unique(name: str, taken: Sequence[str]) -> str:
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)


def _check(bundle: Bundle, plan: Plan) -> None:
    """What would make every cell of a bundle fail is said before a minute of measuring."""
    _chosen(bundle, plan)
    task, settings = bundle.manifest.task, bundle.manifest.settings
    metrics = [find_metric(name, task) for name in plan.metrics]
    for metric in metrics:
        if not metric.labelled:
            raise InvalidConfig(f"metric '{metric.name}' compares with fp32: use edge-tx eval")
    for example in read_examples(plan.data, task, labelled=True) if metrics else ():
        for metric in metrics:
            metric.expected(example, settings)
    if plan.reference:
        find_reference(plan.reference).require()
    if plan.loadgen:
        loadgen.require()


def jobs_of(opened: Opened, plan: Plan, usable_threads: int) -> Iterator[Job]:
    """The cells of a bundle in the plan's order: graph by graph, then along the axes.

    Args:
        opened: The bundle.
        plan: What to measure.
        usable_threads: What stands for no threads given.

    Raises:
        InvalidConfig: There is nothing to measure with.
        InvalidInput: A row of the data cannot be used.
    """
    points = plan.axes.points(usable_threads)
    if opened.bundle is None:
        row = ReportRow("", "", "", points[0].threads, points[0].batch, points[0].seq, 0,
                        model=opened.model.name)  # fmt: skip
        yield Job(replace(row, status="failed", failure="error", note=str(opened.error)))
        return
    plan = replace(plan, metrics=accuracy.metrics_for(opened.bundle, plan))
    kinds = list(_kinds(opened, opened.bundle, plan))
    material = Material(opened.bundle, (), {})
    if any(row.status == "ok" for row, _base in kinds):  # else nothing is measured with it
        material = Material(opened.bundle, *_inputs(opened.bundle, plan))
    lengths = {seq: _of_length(material, seq) for seq in {point.seq for point in points}}
    for row, base in kinds:
        for point in points:
            placed = replace(row, threads=point.threads, batch=point.batch, seq=point.seq)
            yield _job(placed, base, point, lengths[point.seq], material.options, plan)


def _job(
    row: ReportRow,
    base: Cell,
    point: Point,
    inputs: tuple[Any, ...] | EdgeTxError,
    options: Mapping[str, Any],
    plan: Plan,
) -> Job:
    if row.status != "ok":
        return Job(row)
    if isinstance(inputs, EdgeTxError):
        return Job(replace(row, status="skipped", note=str(inputs)))
    return Job(row, _at(base, point, inputs, options, plan))


def _inputs(bundle: Bundle, plan: Plan) -> tuple[tuple[Any, ...], dict[str, Any]]:
    options = dict(plan.options)
    if not plan.data:
        return texts_of(bundle, plan.inputs, options)
    examples = list(read_examples(plan.data, bundle.manifest.task))
    inputs = tuple(value for example in examples for value in example.inputs)
    if not inputs:
        raise InvalidConfig(f"{plan.data} has no rows to measure with")
    of_metrics = (find_metric(name, bundle.manifest.task) for name in plan.metrics)
    for metric in of_metrics:
        options = {**metric.options(examples), **options}
    return inputs, options


def _of_length(material: Material, seq: int) -> tuple[Any, ...] | EdgeTxError:
    try:
        return material.of(seq)
    except InvalidConfig as exc:
        return exc


def _kinds(opened: Opened, bundle: Bundle, plan: Plan) -> Iterator[tuple[ReportRow, Cell]]:
    """What is measured at every point: the graphs, then the reference."""
    for graph in _chosen(bundle, plan):
        row = _graph_row(opened, bundle, graph, plan)
        yield row, _base(bundle, graph, plan)
    if plan.reference:
        yield from _reference(opened, bundle, plan)


def _graph_row(opened: Opened, bundle: Bundle, graph: Graph, plan: Plan) -> ReportRow:
    row = ReportRow(
        graph=graph.name,
        backend=graph.backend,
        precision=graph.precision,
        threads=0,
        batch=0,
        seq=0,
        size_bytes=graph.size,
        model=opened.model.name,
        parity=graph.parity,
    )
    refusal = too_inaccurate(graph, bundle.graphs, plan.min_accuracy)
    if refusal:
        return replace(row, status="skipped", note=refusal)
    obstacle = _obstacle(bundle, graph, plan)
    if obstacle is not None:
        note = "; ".join(filter(None, (packaging.status(graph), f"not run here: {obstacle}")))
        return replace(row, status="skipped", note=note)
    return row


def _reference(opened: Opened, bundle: Bundle, plan: Plan) -> Iterator[tuple[ReportRow, Cell]]:
    reference, checkpoint = find_reference(plan.reference), opened.subject.checkpoint
    row = ReportRow(
        graph=f"{reference.name}-fp32",
        backend=reference.name,
        precision="fp32",
        threads=0,
        batch=0,
        seq=0,
        size_bytes=0,
        model=opened.model.name,
        reference=True,
    )
    base = _base(bundle, bundle.graphs[0], plan)
    if not checkpoint:
        note = "a bundle does not say where its checkpoint is: give the checkpoint itself"
        yield replace(row, status="skipped", note=note), base
        return
    size = resolve(reference.size)(Path(checkpoint))
    cell = replace(base, reference=reference.name, checkpoint=checkpoint, device="cpu", vendor={})
    yield replace(row, size_bytes=int(size)), cell


def _base(bundle: Bundle, graph: Graph, plan: Plan) -> Cell:
    drivers = ("edge_tx", "loadgen") if plan.loadgen else ("edge_tx",)
    return Cell(
        bundle=str(bundle.root),
        graph=graph.name,
        device=plan.device,
        threads=1,
        inputs=(),
        vendor=dict(plan.vendor),
        min_calls=plan.min_calls,
        min_ns=int(plan.seconds * 1e9),
        phases=True,
        max_memory_bytes=plan.max_memory_bytes,
        scoring=Scoring(plan.data, plan.metrics) if plan.metrics else None,
        trials=tuple(
            Trial(name, plan.rate, plan.seed, driver)
            for name in plan.scenarios
            for driver in drivers
        ),
        sustain_ns=plan.sustain_ns,
    )


def _at(
    base: Cell, point: Point, inputs: tuple[Any, ...], options: Mapping[str, Any], plan: Plan
) -> Cell:
    # Lists, scenarios and accuracy do not depend on the batch: they are measured with one alone.
    first = point.batch == plan.axes.batch[0]
    return replace(
        base,
        threads=point.threads,
        cpus=hardware_threads(point.threads),
        batch=point.batch,
        inputs=inputs,
        options=options,
        list_inputs=_list_inputs(point.seq, len(inputs)) if point.batch == 1 else 0,
        trials=base.trials if first else (),
        scoring=base.scoring if first else None,
    )


def _list_inputs(seq: int, inputs: int) -> int:
    """How many inputs a list has: all of them, as often as it takes."""
    wanted = min(_LIST, max(_LEAST, _TOKENS // seq)) if seq else _LIST
    return -(-wanted // inputs) * inputs


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
    if not plan.backends:
        return bundle.graphs_of("auto")
    return tuple(graph for name in plan.backends for graph in bundle.graphs_of(name))
