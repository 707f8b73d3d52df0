"""SmoothQuant: moves outliers of what layers read into their weights.

In transformers a few channels are far larger than the rest, and one scale for the whole tensor
leaves those a handful of the 256 values. Each channel is divided by a factor, and the weights'
rows that it meets are multiplied by it (https://arxiv.org/abs/2211.10438).

The division goes into the LayerNorm before, if nothing else reads what that makes. Where a
residual connection does as well, as in BERT, it is a multiplication of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_tx.calibration.observers import Channels
from edge_tx.calibration.onnx_graph import Graph, Unit
from edge_tx.tensors import Array

__all__ = ["NORMS", "NORMS_AND_GELU", "factors_of", "smooth", "sources"]

#: Operators whose outputs are smoothed: norms, whose last step gives each channel its own size.
NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
#: Norms, and the activation inside a feed-forward network. Its output is four times as wide and
#: the multiplication never goes anywhere for free.
NORMS_AND_GELU = NORMS | {"Gelu"}

_SMALLEST = 1e-5


def sources(
    graph: Graph, units: Sequence[Unit], makers: frozenset[str] = NORMS
) -> dict[str, list[Unit]]:
    """Units by the tensor that they read, where that tensor is to be smoothed.

    Args:
        graph: The graph.
        units: Those to quantise.
        makers: Operators whose outputs are smoothed.
    """
    found: dict[str, list[Unit]] = {}
    for unit in units:
        maker = graph.makers.get(unit.source)
        if maker is not None and (maker.op_type in makers or _ends_norm(graph, maker)):
            found.setdefault(unit.source, []).append(unit)
    return found


def smooth(
    graph: Graph, groups: Mapping[str, Sequence[Unit]], seen: Mapping[str, Channels], alpha: float
) -> dict[str, Channels]:
    """Smooths what units read.

    Args:
        graph: Changed in place.
        groups: Units by the tensor that they read, as :func:`sources` gives them.
        seen: Extremes of all tensors that are of interest.
        alpha: 0 moves nothing, 1 everything.

    Returns:
        Extremes of the same tensors; of what is read now in place of what was smoothed.
    """
    now = dict(seen)
    for source, group in groups.items():
        weights = {unit.weight: graph.weight(unit.weight) for unit in group}
        rows = np.max([np.abs(weight).max(axis=1) for weight in weights.values()], axis=0)
        factors = factors_of(seen[source].largest, rows, alpha)
        for name, weight in weights.items():
            _use(graph, group, name, weight * factors[:, None])
        divided = _divide(graph, source, group, 1 / factors)
        now[divided] = now.pop(source).times(1 / factors)
    return now


def factors_of(read: Array, weights: Array, alpha: float) -> Array:
    """SmoothQuant's factors, with a geometric mean of 1.

    Args:
        read: ``float32[channels]``, the greatest absolute value that is read.
        weights: ``float32[channels]``, the greatest of each row.
        alpha: 0 to 1.
    """
    read, weights = np.maximum(read, _SMALLEST), np.maximum(weights, _SMALLEST)
    factors = read**alpha / weights ** (1 - alpha)
    scaled: Array = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return scaled


def _ends_norm(graph: Graph, node: Any) -> bool:
    """Whether it is the last step of a norm that the exporter wrote out: times a vector."""
    return node.op_type == "Mul" and any(
        name in graph.weights and graph.weights[name].dims and graph.weights[name].dims[-1] > 1
        for name in node.input
    )


def _use(graph: Graph, group: Sequence[Unit], name: str, values: Array) -> None:
    """Gives a group's operators a weight; others that read the old one keep it."""
    mine = {unit.node for unit in group}
    if all(node.name in mine for node in graph.readers(name)):
        graph.set_weight(name, values)
        return
    new = graph.add_weight(f"{name}_smooth", values)
    for node in graph.readers(name):
        if node.name in mine:
            node.input[1] = new


def _divide(graph: Graph, source: str, group: Sequence[Unit], factors: Array) -> str:
    """Multiplies what a group reads; gives the tensor that it reads now."""
    from onnx import helper

    maker = graph.makers[source]
    readers = graph.readers(source)
    mine = {unit.node for unit in group}
    is_output = any(output.name == source for output in graph.model.graph.output)
    only_mine = not is_output and all(node.name in mine for node in readers)
    if only_mine and _fold(graph, maker, factors):
        return source
    scale = graph.add_weight(f"{source}_factors", factors)
    divided = f"{source}_smooth"
    graph.insert_after(maker, [helper.make_node("Mul", [source, scale], [divided], divided)])
    for node in readers:
        if node.name in mine:
            node.input[0] = divided
    return divided


def _fold(graph: Graph, norm: Any, factors: Array) -> bool:
    """Multiplies a LayerNorm's own weights, if they are nobody else's."""
    names = list(norm.input[1:])
    if norm.op_type != "LayerNormalization" or not all(
        name in graph.weights and len(graph.readers(name)) == 1 for name in names
    ):
        return False
    for name in names:
        graph.set_weight(name, graph.weight(name) * factors)
    return True
