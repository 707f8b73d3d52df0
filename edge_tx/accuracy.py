"""How near a graph is to the fp32 reference, as one number that a user can set a limit to.

**The definition.** Where the accuracy gate has measured a graph and the fp32 graph by the same
metric, the accuracy is the ratio of the two: 0.99 keeps 99 % of the reference's F1. The fp32
graph's number stands beside the graph's own (``f1`` and ``f1_fp32``) or in the record of the
bundle's first unquantised fp32 graph. With several such metrics the lowest ratio counts. A
metric that compares with the reference by itself (the cosine, the share of equal answers) is the
accuracy as it is. Otherwise it is what the parity check measured when the graph was made: the
smallest cosine of an output or the share of equal answers, whichever is lower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_tx.manifest import Graph

__all__ = ["Accuracy", "accuracy_of"]

_SCORES = ("accuracy", "f1", "f1_binary", "em", "spearman", "pearson")
"""Metrics of the gate that are scores of their own; more is better."""

_FP32 = "_fp32"

_AGAINST_REFERENCE = ("cosine", "agreement")
"""Metrics of the gate that compare with the fp32 reference."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy and where it comes from.

    Attributes:
        value: 1 is as good as the reference.
        measure: What was measured, in words.
    """

    value: float
    measure: str


def accuracy_of(graph: Graph, graphs: Sequence[Graph]) -> Accuracy:
    """The accuracy of a graph, as this module defines it.

    Args:
        graph: One of the bundle's.
        graphs: All of the bundle's.
    """
    found = list(_by_metric(graph, graphs)) or list(_by_parity(graph))
    return min(found, key=lambda accuracy: accuracy.value)


def _by_metric(graph: Graph, graphs: Sequence[Graph]) -> Iterator[Accuracy]:
    reference = next((g for g in graphs if g.precision == "fp32" and not g.recipe), None)
    truth = reference.metrics if reference else {}
    for name in _SCORES:
        wanted = graph.metrics.get(f"{name}{_FP32}", truth.get(name, 0))
        if name in graph.metrics and wanted > 0:
            yield Accuracy(graph.metrics[name] / wanted, f"{name} relative to fp32")
    for name in _AGAINST_REFERENCE:
        if name in graph.metrics:
            yield Accuracy(graph.metrics[name], f"{name} with fp32")


def _by_parity(graph: Graph) -> Iterator[Accuracy]:
    parity = graph.parity
    yield Accuracy(parity.agreement, "share of answers equal to fp32's")
    yield Accuracy(parity.min_cosine, "smallest cosine to fp32's outputs")
