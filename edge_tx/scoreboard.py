"""The metrics of every graph of a bundle, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edge_tx import backends, tasks
from edge_tx.backends import Session, SessionConfig
from edge_tx.bundle import Bundle
from edge_tx.device import usable_threads
from edge_tx.errors import EdgeTxError, InvalidConfig, MissingDependency
from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.manifest import Graph
from edge_tx.metric_table import find_metric

__all__ = ["GraphScore", "Progress", "Scoreboard", "evaluate"]


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins, after ``done`` of ``total``."""


@dataclass(frozen=True, slots=True)
class GraphScore:
    """What one graph reaches.

    Attributes:
        graph: Its name.
        precision: Of the graph.
        recipe: That it was quantised with; empty if it was not.
        size_bytes: Of its files.
        scores: By metric; empty if it could not be run.
        note: Why it could not.
        error: What failed, if something did.
    """

    graph: str
    precision: str
    recipe: str
    size_bytes: int
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    error: EdgeTxError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"error": None if self.error is None else str(self.error)}


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """What all graphs reach.

    Attributes:
        examples: Rows that were measured on.
        metrics: Names, in the order they were asked for.
        rows: One for each graph.
    """

    examples: int
    metrics: tuple[str, ...]
    rows: tuple[GraphScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "examples": self.examples,
            "metrics": list(self.metrics),
            "graphs": [row.to_dict() for row in self.rows],
        }


def evaluate(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str] | Iterable[Any],
    metric: str | Sequence[str],
    *,
    graphs: Sequence[str] = (),
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Scoreboard:
    """Measures every graph of a bundle on a data set.

    Args:
        bundle: A bundle.
        data: Rows, a file or an iterable, with labels if a metric needs them.
        metric: Names of metrics.
        graphs: Names of graphs or backends; all if empty.
        threads: CPU threads; by default those that this process may use.
        options: Call options of the task.
        progress: Told what begins.

    Raises:
        UnknownName: No such metric or graph.
        InvalidConfig: A metric is not for the bundle's task.
        InvalidInput: A row or a label cannot be used.
        MissingDependency: No graph can run here.
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    names = (metric,) if isinstance(metric, str) else tuple(metric)
    wanted = [find_metric(name, manifest.task) for name in names]
    if not wanted:
        raise InvalidConfig("no metric to measure: name at least one")
    chosen = [opened.graph(name) for name in graphs] or list(opened.graphs)
    labelled = any(row.labelled for row in wanted)
    examples = list(read_examples(data, manifest.task, labelled=labelled))
    config = SessionConfig(threads=threads or usable_threads())

    def opening(graph: Graph) -> Session:
        return backends.open_session(graph.backend, opened.entry(graph), config)

    task = tasks.create(manifest.task, manifest.settings)
    evaluations = [
        Evaluation(
            row,
            examples,
            task,
            opened.tokenizer(),
            manifest.settings,
            lambda: opening(_reference(opened)),
            options,
        )
        for row in wanted
    ]
    rows = []
    for done, graph in enumerate(chosen):
        if progress is not None:
            progress(f"measuring {graph.name}", done, len(chosen))
        rows.append(_row(graph, evaluations, opening))
    if progress is not None:
        progress("", len(chosen), len(chosen))
    if not any(row.scores for row in rows):
        raise next(row.error for row in rows if row.error is not None)
    return Scoreboard(len(examples), names, tuple(rows))


def _reference(bundle: Bundle) -> Graph:
    """The fp32 graph whose answers stand for labels: the first whose backend is installed."""
    plain = [g for g in bundle.graphs if g.precision == "fp32" and not g.recipe]
    for graph in plain:
        vendor = backends.known().get(graph.backend)
        if vendor is not None and vendor.module is not None:
            return graph
    if not plain:
        raise InvalidConfig("the bundle has no fp32 graph to compare with: use a labelled metric")
    vendor = backends.find(plain[0].backend)
    raise MissingDependency(vendor.modules[0], "comparing with the fp32 graph", vendor.install)


def _row(graph: Graph, evaluations: Sequence[Evaluation], opening: Any) -> GraphScore:
    row = GraphScore(graph.name, graph.precision, graph.recipe, graph.size)
    try:
        session = opening(graph)
        try:
            scores = {one.metric.name: one.score(session) for one in evaluations}
        finally:
            session.close()
    except EdgeTxError as exc:
        return GraphScore(*_identity(row), note=str(exc), error=exc)
    return GraphScore(*_identity(row), scores=scores)


def _identity(row: GraphScore) -> tuple[str, str, str, int]:
    return row.graph, row.precision, row.recipe, row.size_bytes
