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

__all__ = ["factors_of", "smooth", "sources"]

# What makes a tensor whose channels differ by a factor of its own: a norm's last step.
_NORMS = frozenset({"LayerNormalization", "RMSNormalization", "Mul"})
_SMALLEST = 1e-5


def sources(graph: Graph, units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """Units by the tensor that they read, where that tensor can be smoothed."""
    found: dict[str, list[Unit]] = {}
    for unit in units:
        maker = graph.makers.get(unit.source)
        if not unit.is_embedding and maker is not None and maker.op_type in _NORMS:
            found.setdefault(unit.source, []).append(unit)
    return found


def smooth(
    graph: Graph, units: Sequence[Unit], seen: Mapping[str, Channels], alpha: float
) -> dict[str, Channels]:
    """Smooths what units read.

    Args:
        graph: Changed in place.
        units: Those to quantise.
        seen: Extremes of what they read.
        alpha: 0 moves nothing, 1 everything.

    Returns:
        Extremes of what they read now.
    """
    now = dict(seen)
    for source, group in sources(graph, units).items():
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
