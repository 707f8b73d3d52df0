"""The metrics of every graph of a bundle, side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        names = ("graph", "precision", "recipe", "size_bytes", "note")
        return {name: getattr(self, name) for name in names} | {"scores": dict(self.scores)}


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
    names = (metric,) if isinstance(metric, str) else tuple(metric)
    if not names:
        raise InvalidConfig("no metric to measure: name at least one")
    opened = Bundle.open(bundle)
    wanted = (graphs,) if isinstance(graphs, str) else graphs
    chosen = [opened.graph(name) for name in wanted] or list(opened.graphs)
    config = SessionConfig(threads=threads or usable_threads())

    def opening(graph: Graph) -> Session:
        return backends.open_session(graph.backend, opened.entry(graph), config)

    evaluations = _evaluations(opened, data, names, options, lambda: opening(_reference(opened)))
    rows = []
    for done, graph in enumerate(chosen):
        if progress is not None:
            progress(f"measuring {graph.name}", done, len(chosen))
        rows.append(_row(graph, evaluations, opening))
    if progress is not None:
        progress("", len(chosen), len(chosen))
    errors = [row.error for row in rows if row.error is not None]
    if len(errors) == len(rows):
        raise errors[0]
    return Scoreboard(len(evaluations[0]), names, tuple(rows))


def _evaluations(
    bundle: Bundle,
    data: str | os.PathLike[str] | Iterable[Any],
    names: Sequence[str],
    options: Mapping[str, Any] | None,
    reference: Callable[[], Session],
) -> list[Evaluation]:
    manifest = bundle.manifest
    wanted = [find_metric(name, manifest.task) for name in names]
    labelled = any(row.labelled for row in wanted)
    examples = list(read_examples(data, manifest.task, labelled=labelled))
    task, tokenizer = tasks.create(manifest.task, manifest.settings), bundle.tokenizer()
    return [
        Evaluation(row, examples, task, tokenizer, manifest.settings, reference, options)
        for row in wanted
    ]


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


def _row(
    graph: Graph, evaluations: Sequence[Evaluation], opening: Callable[[Graph], Session]
) -> GraphScore:
    row = GraphScore(graph.name, graph.precision, graph.recipe, graph.size)
    try:
        session = opening(graph)
        try:
            return replace(row, scores={one.metric.name: one.score(session) for one in evaluations})
        finally:
            session.close()
    except EdgeTxError as exc:
        return replace(row, note=str(exc), error=exc)
