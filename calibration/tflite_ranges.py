"""What the layers of a TFLite graph read and write on real texts, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from edge_tx.calibration.observers import Channels, Histogram, Range, choose
from edge_tx.calibration.quantizer import Feeds
from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.calibration.tflite_graph import Graph, Layer, Tensor
from edge_tx.errors import FeedMismatch
from edge_tx.native_log import LITERT, quiet
from edge_tx.tensors import Array

__all__ = ["channels", "ranges"]

_MASK = "attention_mask"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Point:
    """What layers read or write: a tensor in each signature, seen as one.

    Attributes:
        layer: Name of the first layer that does.
        ordinal: In which of its operators.
        reads: Whether it is read, or written.
    """

    layer: str
    ordinal: int
    reads: bool


_Points = Mapping[int, Mapping[int, _Point]]
"""Points by subgraph and tensor."""


def channels(graph: Graph, layers: Sequence[Layer], feeds: Feeds) -> dict[Tensor, Channels]:
    """The extremes of each channel that layers read or write, on real texts.

    All signatures are seen as one, whichever of them a text ran in.
    """
    wanted = _points(layers)
    seen: dict[_Point, Channels] = {}
    for point, rows in _values(graph, wanted, feeds):
        if point not in seen:
            seen[point] = Channels.of(rows)
        seen[point].take(rows)
    return _by_tensor(wanted, seen)


def ranges(
    graph: Graph,
    layers: Sequence[Layer],
    feeds: Feeds,
    recipe: Recipe,
    seen: Mapping[Tensor, Channels],
) -> dict[Tensor, Range]:
    """The range to quantise each tensor in that layers read or write.

    Args:
        graph: As it will be quantised.
        layers: Those to quantise.
        feeds: Real texts; not read if the recipe takes the extremes.
        recipe: Its observer chooses.
        seen: Extremes of these tensors.
    """
    wanted = _points(layers)
    counts = {
        point: Histogram(seen[subgraph, tensor].extremes)
        for subgraph, here in wanted.items()
        for tensor, point in here.items()
    }
    if recipe.observer is not Observer.MINMAX:
        for point, rows in _values(graph, wanted, feeds):
            counts[point].take(rows)
    return _by_tensor(wanted, {point: choose(count, recipe) for point, count in counts.items()})


def _points(layers: Sequence[Layer]) -> _Points:
    """A tensor that several layers read is the first one's point."""
    found: dict[int, dict[int, _Point]] = {}
    for layer in layers:
        for use in layer.uses:
            here = found.setdefault(use.subgraph, {})
            here.setdefault(use.source, _Point(layer.name, use.ordinal, reads=True))
            here.setdefault(use.result, _Point(layer.name, use.ordinal, reads=False))
    return found


def _by_tensor(wanted: _Points, seen: Mapping[_Point, _T]) -> dict[Tensor, _T]:
    return {
        (subgraph, tensor): seen[point]
        for subgraph, here in wanted.items()
        for tensor, point in here.items()
    }


# -------------------------------------------------------------------------------------- running


@dataclass(frozen=True, slots=True)
class _Signature:
    name: str
    subgraph: int
    batch: int
    length: int


def _values(graph: Graph, wanted: _Points, feeds: Feeds) -> Iterator[tuple[_Point, Array]]:
    """Runs texts one by one; gives what stands at the points, ``float32[tokens, channels]``."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet(LITERT):
        interpreter = Interpreter(
            model_content=graph.to_bytes(), experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    signatures = _signatures(graph)
    runners: dict[str, Any] = {}
    for feed in feeds():
        for row in _rows(feed):
            signature = _fitting(signatures, len(next(iter(row.values()))))
            runner = runners.setdefault(
                signature.name, interpreter.get_signature_runner(signature.name)
            )
            runner(**_padded(row, signature, runner.get_input_details()))
            for tensor, point in wanted.get(signature.subgraph, {}).items():
                values = interpreter.get_tensor(tensor, signature.subgraph)
                yield point, _real(values, row, signature)


def _signatures(graph: Graph) -> tuple[_Signature, ...]:
    found = []
    for signature in graph.model.signatureDefs:
        tensors = graph.model.subgraphs[signature.subgraphIndex].tensors
        batch, length = (int(n) for n in tensors[signature.inputs[0].tensorIndex].shape)
        name = signature.signatureKey.decode()
        found.append(_Signature(name, signature.subgraphIndex, batch, length))
    return tuple(found)


def _rows(feed: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Each text of a feed by itself, without its padding."""
    for number in range(len(next(iter(feed.values())))):
        row = {name: array[number] for name, array in feed.items()}
        if _MASK in row:
            end = int(np.flatnonzero(row[_MASK])[-1]) + 1
            row = {name: array[:end] for name, array in row.items()}
        yield row


def _fitting(signatures: Sequence[_Signature], length: int) -> _Signature:
    fitting = [s for s in signatures if s.length >= length]
    if not fitting:
        longest = max(s.length for s in signatures)
        raise FeedMismatch(
            f"a calibration text has {length} tokens, and this graph takes {longest} at most"
        )
    return min(fitting, key=lambda s: s.batch * s.length)


def _padded(
    row: Mapping[str, Array], signature: _Signature, details: Mapping[str, Any]
) -> dict[str, Array]:
    feeds = {}
    for name, detail in details.items():
        feeds[name] = np.zeros((signature.batch, signature.length), detail["dtype"])
        feeds[name][0, : len(row[name])] = row[name]
    return feeds


def _real(values: Array, row: Mapping[str, Array], signature: _Signature) -> Array:
    """Rows of a tensor that belong to the text, and not to its padding."""
    rows = values.reshape(-1, values.shape[-1])
    if len(rows) == signature.batch * signature.length:
        return rows[: len(next(iter(row.values())))]
    return rows[:1] if len(rows) == signature.batch else rows
