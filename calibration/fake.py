"""Int8 weights for the fake backend: real rounding, no vendor, in a millisecond."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import Method, Recipe
from edge_tx.errors import ExportFailed, InvalidConfig

__all__ = ["check", "layers", "quantize"]

_METHODS = (Method.DYNAMIC, Method.STATIC, Method.WEIGHT)


def check(recipe: Recipe) -> None:
    """Checks that the fake can do a recipe.

    Raises:
        InvalidConfig: It is not one of 8-bit weights.
    """
    if recipe.method not in _METHODS or recipe.weight_bits != 8:
        raise InvalidConfig(f"fake cannot do '{recipe}': it rounds weights to 8 bits")


def layers(entry: Path) -> tuple[str, ...]:
    """The graph's layers."""
    return tuple(_read(entry).get("layers", {}))


def quantize(work: Work) -> Quantized:
    """Rounds each layer's weights to the 255 steps of its largest.

    Raises:
        InvalidConfig: The fake cannot do the recipe.
        ExportFailed: The file is not a fake graph, or a static recipe has no data.
    """
    check(work.recipe)
    graph = _read(work.entry)
    if work.recipe.method is Method.STATIC and not any(True for _ in work.feeds()):
        raise ExportFailed("a static recipe needs calibration feeds, and there are none")
    units = tuple(name for name in layers(work.entry) if not work.stays_float(name))
    most = 63 if work.reduce_range else 127
    graph["layers"] |= {name: _rounded(graph["layers"][name], most) for name in units}
    entry = work.folder / work.entry.name
    entry.write_text(json.dumps(graph), encoding="utf-8")
    return Quantized(entry, "int8", units, {"numpy": np.__version__}, "rounded to nearest")


def _rounded(weights: Sequence[float], most: int) -> list[float]:
    values = np.array(weights, np.float32)
    scale = float(np.abs(values).max(initial=0.0)) / most or 1.0
    rounded: list[float] = (np.rint(values / scale) * scale).tolist()
    return rounded


def _read(entry: Path) -> Any:
    try:
        graph: Mapping[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ExportFailed(f"{entry.name} is not a fake graph: {exc}") from exc
    return graph
