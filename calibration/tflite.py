"""Int8, int4 and half-precision graphs for TFLite, by ai-edge-quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.calibration import tflite_scaling
from edge_tx.calibration.abilities import need, refuse_others, row_of
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.tflite_graph import Graph, Layer
from edge_tx.calibration.tflite_ranges import channels, ranges
from edge_tx.calibration.tflite_tool import (
    BLOCKS,
    DYNAMIC,
    HALF,
    STATIC,
    TABLE,
    WEIGHTS,
    Scheme,
    rounded,
)
from edge_tx.calibration.vendor_tool import mapped
from edge_tx.errors import InvalidConfig

__all__ = ["check", "layers", "quantize"]

_INSTALL = "pip install 'edge-tx[quantize-tflite]'"
_TOOL = "ai-edge-quantizer"
_MODULES = ("ai_edge_quantizer", "ai_edge_litert")
_PACKAGES = ("ai-edge-quantizer", "ai-edge-litert")


def check(recipe: Recipe) -> None:
    """Checks that TFLite can do a recipe.

    Raises:
        InvalidConfig: It cannot; says what it can.
        MissingDependency: ai-edge-quantizer is not installed.
    """
    row = row_of("tflite", recipe, _ROWS)
    refuse_others("tflite", recipe, row.allowed)
    need(_MODULES, "quantising TFLite graphs", _INSTALL)


def layers(entry: Path) -> tuple[str, ...]:
    """Units that can be returned to float one by one, in the graph's order.

    Raises:
        ExportFailed: The file cannot be read.
    """
    with mapped(_TOOL, f"reading {entry.name}"):
        return tuple(layer.name for layer in Graph(entry).layers)


def quantize(work: Work) -> Quantized:
    """Writes ``model.tflite`` into the work's folder; its signatures share their weights.

    Raises:
        InvalidConfig: TFLite cannot do the recipe, or it leaves every layer in float.
        MissingDependency: ai-edge-quantizer is not installed.
        FeedMismatch: A calibration text is longer than the graph's longest bucket.
        ExportFailed: ai-edge-quantizer failed.
    """
    check(work.recipe)
    row = _ROWS[work.recipe.name]
    recipe = work.recipe.with_defaults(**row.defaults)
    entry = work.folder / "model.tflite"
    with mapped(_TOOL, f"quantising {work.entry.name}"):
        graph = Graph(work.entry)
        chosen = _chosen(graph, work)
        _label(graph, chosen, row, recipe)
        schemes = {_TABLES: row.table, _PRODUCTS: row.product, _NARROW: DYNAMIC}
        statistics = _calibrated(graph, chosen, work, recipe) if row.calibrated else None
        entry.write_bytes(rounded(graph.to_bytes(), schemes, recipe, statistics))
    return Quantized(
        entry=entry,
        precision=row.precision,
        units=tuple(layer.name for layer in chosen),
        tools={name: version(name) for name in _PACKAGES},
        route="ai-edge-quantizer",
        notes=row.notes,
    )


_TABLES, _PRODUCTS, _NARROW = "tables", "products", "narrow"


def _chosen(graph: Graph, work: Work) -> tuple[Layer, ...]:
    """The layers to quantise."""
    chosen = tuple(
        layer
        for layer in graph.layers
        if not work.stays_float(layer.name) and (work.recipe.embeddings or not layer.is_embedding)
    )
    if not chosen:
        raise InvalidConfig(f"recipe '{work.recipe}' leaves every layer in float")
    return chosen


def _label(graph: Graph, chosen: Sequence[Layer], row: _Row, recipe: Recipe) -> None:
    """Tells the schemes apart: tables, products, and products too narrow for blocks."""
    for layer in chosen:
        narrow = row.product is BLOCKS and layer.shape[1] % recipe.block != 0
        label = _TABLES if layer.is_embedding else _NARROW if narrow else _PRODUCTS
        graph.label([layer], label)


def _calibrated(
    graph: Graph, chosen: Sequence[Layer], work: Work, recipe: Recipe
) -> dict[str, Any]:
    """Scales the graph to be quantised well; gives the ranges of its activations by tensor."""
    products = [layer for layer in chosen if not layer.is_embedding]
    seen = channels(graph, products, work.feeds)
    if recipe.smooth is not None:
        seen = tflite_scaling.smooth(graph, products, seen, recipe.smooth)
    seen = tflite_scaling.equalise(graph, products, seen)
    return {
        graph.tensor_name(*tensor): {"min": np.array([low]), "max": np.array([high])}
        for tensor, (low, high) in ranges(graph, products, work.feeds, recipe, seen).items()
    }


# ------------------------------------------------------------------------------------ recipes


@dataclass(frozen=True, slots=True)
class _Row:
    """How TFLite does a recipe.

    Attributes:
        precision: Of the graph.
        product: How the weights of matrix products are stored and computed with.
        table: The same of embeddings.
        calibrated: Whether it takes ranges from data.
        defaults: Options that are best for TFLite, where the user chose nothing.
        allowed: The values that an option may have, where it may not have all.
        notes: What a user should know.
    """

    precision: str
    product: Scheme
    table: Scheme = TABLE
    calibrated: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# XNNPACK adds products of int8 in 32 bits on every CPU: nothing saturates.
_FULL_RANGE: Mapping[str, Sequence[Any]] = {"reduce_range": (False, None)}
_ROWS: Mapping[str, _Row] = {
    "static_w8a8": _Row(
        "int8",
        STATIC,
        calibrated=True,
        defaults={"smooth": 0.9},
        allowed=_FULL_RANGE,
    ),
    "static_w8a16": _Row(
        "int8",
        STATIC,
        calibrated=True,
        defaults={"symmetric": True},
        allowed={**_FULL_RANGE, "symmetric": (True,)},
        notes=("XNNPACK has no kernels for 16-bit activations: expect it to be slow",),
    ),
    "dynamic_w8": _Row(
        "int8", DYNAMIC, allowed={**_FULL_RANGE, "symmetric": (False,), "smooth": (None,)}
    ),
    "weight_w8": _Row("int8", WEIGHTS),
    "weight_w4": _Row(
        "int4",
        BLOCKS,
        allowed={"per_channel": (True,), "block": (32, 64, 128, 256)},
        notes=("activations are rounded to int8 row by row: 4-bit kernels have no float form",),
    ),
    "fp16": _Row("fp16", HALF, table=HALF),
}
