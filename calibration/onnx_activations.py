"""What the layers of an ONNX graph read on real texts, in a memory that does not grow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.calibration.observers import Channels, Histogram, Range, choose
from edge_tx.calibration.quantizer import Feeds
from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.errors import InvalidConfig
from edge_tx.exporters import onnx_file
from edge_tx.tensors import Array

__all__ = ["channels", "ranges"]

_MASK = "attention_mask"
_LOG_ERRORS = 3


def channels(model: Any, tensors: Sequence[str], feeds: Feeds) -> dict[str, Channels]:
    """The extremes of each channel of some tensors.

    Args:
        model: The ``onnx.ModelProto``; not changed.
        tensors: Names of ``float32[..., channels]`` that operators of the graph make.
        feeds: Real texts.

    Raises:
        InvalidConfig: There are no feeds.
    """
    seen: dict[str, Channels] = {}
    for name, rows in _values(model, tensors, feeds):
        if name in seen:
            seen[name].take(rows)
        else:
            seen[name] = Channels.of(rows)
    if len(seen) < len(set(tensors)):
        raise InvalidConfig("there is no calibration data: give some texts")
    return seen


def ranges(
    model: Any, seen: Mapping[str, Channels], feeds: Feeds, recipe: Recipe
) -> dict[str, Range]:
    """The range to quantise each tensor in, by the recipe's observer.

    Args:
        model: As for :func:`channels`.
        seen: Extremes, by the tensors' names.
        feeds: Real texts: the same ones.
        recipe: Names the observer; its own options.
    """
    counted = {name: Histogram(channels.extremes) for name, channels in seen.items()}
    if recipe.observer is not Observer.MINMAX:
        for name, rows in _values(model, list(counted), feeds):
            counted[name].take(rows)
    return {name: choose(histogram, recipe) for name, histogram in counted.items()}


def _values(model: Any, tensors: Sequence[str], feeds: Feeds) -> Iterator[tuple[str, Array]]:
    """Runs feed after feed; gives what real tokens hold, ``float32[tokens, channels]``."""
    names = list(dict.fromkeys(tensors))
    if not names:
        return
    native = _open(model, names)
    takes = {spec.name for spec in native.get_inputs()}
    for feed in feeds():
        arrays = native.run(names, {name: feed[name] for name in takes})
        for name, array in zip(names, arrays, strict=True):
            yield name, _real(array, feed)


def _open(model: Any, names: Sequence[str]) -> Any:
    import onnx
    import onnxruntime as ort

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in given
    )
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS
    with tempfile.TemporaryDirectory(prefix="edge_tx-") as folder:
        entry = Path(folder) / "watched.onnx"
        onnx_file.save_proto(watched, entry)
        return ort.InferenceSession(str(entry), options, providers=["CPUExecutionProvider"])


def _real(values: Array, feed: Mapping[str, Array]) -> Array:
    """Rows that belong to tokens, and not to padding, where the tensor has one for each."""
    mask = feed.get(_MASK)
    if mask is not None and values.shape[:-1] == mask.shape:
        rows: Array = values[mask.astype(np.bool_)]
        return rows
    return values.reshape(-1, values.shape[-1])
