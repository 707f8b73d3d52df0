"""Accuracy within a cell, by the code of ``edge-tx eval``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_tx.backends import Session
from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.metric_table import find_metric, usual_metric

if TYPE_CHECKING:
    from edge_tx.bench.cell import Cell
    from edge_tx.bench.plan import Plan
    from edge_tx.bundle import Bundle
    from edge_tx.runtimes.model import Model

__all__ = ["metrics_for", "scores"]


def metrics_for(bundle: Bundle, plan: Plan) -> tuple[str, ...]:
    """The plan's metrics, or the usual one where its data has labels; empty for none.

    Raises:
        InvalidInput: A row of the data cannot be used.
    """
    if plan.metrics or not plan.data:
        return plan.metrics
    manifest = bundle.manifest
    examples = list(read_examples(plan.data, manifest.task))
    usual = usual_metric(manifest.task, examples, manifest.settings)
    return () if usual is None else (usual.name,)


def scores(model: Model, cell: Cell) -> Mapping[str, float]:
    """The metrics of a cell's graph on its data, with the threads and settings of the cell.

    Raises:
        UnknownName: No such metric.
        InvalidInput: A row or its label cannot be used.
        SessionFailed: The graph failed.
    """
    from edge_tx import tasks

    if cell.scoring is None:
        return {}
    manifest = model.bundle.manifest
    wanted = [find_metric(name, manifest.task) for name in cell.scoring.metrics]
    labelled = any(metric.labelled for metric in wanted)
    examples = list(read_examples(cell.scoring.data, manifest.task, labelled=labelled))
    task, tokenizer = tasks.create(manifest.task, manifest.settings), model.bundle.tokenizer()
    session = model.session

    def no_reference() -> Session:
        return session

    found = {}
    for metric in wanted:
        evaluation = Evaluation(
            metric, examples, task, tokenizer, manifest.settings, no_reference, cell.options
        )
        found[metric.name] = evaluation.score(session)
    return found
