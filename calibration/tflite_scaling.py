"""Scaling that leaves a float graph's answers alone and makes them easy to quantise.

A TFLite kernel for int8 reads *and writes* int8, with one scale for a whole tensor. In transformers
a few channels are far larger than the rest, which then share a handful of the 256 values.

- What layers read: SmoothQuant (https://arxiv.org/abs/2211.10438) divides each channel by a factor
  and multiplies the weight's column by it.
- What layers write: each row of the weight, and the bias, is divided so that all channels are as
  wide as the widest, and the result is multiplied back in float. A weight has one scale for each
  row anyway, so that this costs it nothing (the idea is that of cross-layer equalisation,
  https://arxiv.org/abs/1906.04721, with the inverse kept as an operator of its own).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edge_tx.calibration.observers import Channels
from edge_tx.calibration.tflite_graph import Graph, Layer, Tensor
from edge_tx.tensors import Array

__all__ = ["equalise", "equalising_factors", "smooth", "smoothing_factors"]

_SMALLEST = 1e-5
# A channel this much smaller than the widest gains nothing from more.
_MOST = 1e3


def smooth(
    graph: Graph, layers: Sequence[Layer], seen: Mapping[Tensor, Channels], alpha: float
) -> dict[Tensor, Channels]:
    """Moves outliers of what layers read into their weights.

    Args:
        graph: Changed in place.
        layers: Those to quantise.
        seen: Extremes of what they read and write.
        alpha: 0 moves nothing, 1 everything.

    Returns:
        Extremes of what they read and write now.
    """
    now = dict(seen)
    for group in _groups(layers):
        read = _largest([seen[u.subgraph, u.source] for layer in group for u in layer.uses])
        columns = [np.abs(graph.weight(layer)).max(axis=0) for layer in group]
        factors = smoothing_factors(read, np.max(columns, axis=0), alpha)
        for layer in group:
            graph.scale_inputs(layer, factors)
        uses = [use for layer in group for use in layer.uses]
        for source, product in graph.multiply_before(uses, 1 / factors).items():
            now[product] = seen[source].times(1 / factors)
    return now


def equalise(
    graph: Graph, layers: Sequence[Layer], seen: Mapping[Tensor, Channels]
) -> dict[Tensor, Channels]:
    """Makes all channels that a layer writes equally wide.

    Args:
        graph: Changed in place.
        layers: Those to quantise.
        seen: Extremes of what they read and write.

    Returns:
        Extremes of what they read and write now.
    """
    now = dict(seen)
    for layer in layers:
        written = [(use.subgraph, use.result) for use in layer.uses]
        factors = equalising_factors(_largest([seen[tensor] for tensor in written]))
        graph.scale_outputs(layer, 1 / factors)
        graph.multiply_after(layer.uses, factors)
        for tensor in written:
            now[tensor] = seen[tensor].times(1 / factors)
    return now


def smoothing_factors(read: Array, weights: Array, alpha: float) -> Array:
    """SmoothQuant's factors, with a geometric mean of 1.

    Args:
        read: ``float32[channels]``, the greatest absolute value that is read.
        weights: ``float32[channels]``, the greatest of each column.
        alpha: 0 to 1.
    """
    read, weights = np.maximum(read, _SMALLEST), np.maximum(weights, _SMALLEST)
    factors = read**alpha / weights ** (1 - alpha)
    factors = np.maximum(factors, np.quantile(factors, 0.1))  # a quiet channel is not blown up
    scaled: Array = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return scaled


def equalising_factors(written: Array) -> Array:
    """Width of each channel relative to the widest.

    Args:
        written: ``float32[channels]``, the greatest absolute value that is written.
    """
    widest = max(float(written.max()), _SMALLEST)
    factors: Array = np.maximum(written / widest, 1 / _MOST).astype(np.float32)
    return factors


def _groups(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Layers that read the same tensors: they must share their factors."""
    left = list(layers)
    while left:
        group, tensors = [left.pop(0)], set()
        grown = True
        while grown:
            tensors |= {(use.subgraph, use.source) for layer in group for use in layer.uses}
            joining = [x for x in left if tensors & {(u.subgraph, u.source) for u in x.uses}]
            left = [layer for layer in left if layer not in joining]
            group += joining
            grown = bool(joining)
        yield group


def _largest(seen: Sequence[Channels]) -> Array:
    largest: Array = np.max([channels.largest for channels in seen], axis=0)
    return largest
