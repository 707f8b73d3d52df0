"""The seam to the vendors' quantizers.

A backend's row names a function ``quantize``; beside it in the same module stand ``check`` and
``layers``. :func:`find` gives the three together.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from edge_tx.backends import Backend
from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.target import Target
from edge_tx.errors import InvalidConfig
from edge_tx.tensors import Array

__all__ = ["Feeds", "Quantized", "Quantizer", "Work", "find", "runner"]

Feeds = Callable[[], Iterator[Mapping[str, Array]]]
"""Starts a stream of real feeds anew: arrays by input name, of the graph's own types."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a backend's quantizer is given.

    Attributes:
        entry: The fp32 graph's entry file; read only.
        folder: Empty; the quantised graph goes here, with all the files it needs.
        recipe: What to do.
        feeds: Real calibration feeds, padded to the graph's bucket where its shapes are fixed.
            Only static recipes read them.
        target: The device it is for.
        keep_float: Units (of :meth:`Quantizer.layers`) that must stay in float, beside those
            that the recipe keeps.
    """

    entry: Path
    folder: Path
    recipe: Recipe
    feeds: Feeds
    target: Target
    keep_float: frozenset[str] = frozenset()

    def stays_float(self, unit: str) -> bool:
        """Whether a unit must stay in float, by the gate's choice or the recipe's."""
        return unit in self.keep_float or self.recipe.keeps(unit)

    @property
    def reduce_range(self) -> bool:
        """Whether weights must use 7 bits: as the recipe says, else as the target needs."""
        wanted = self.recipe.reduce_range
        return self.target.reduce_range if wanted is None else wanted


@dataclass(frozen=True, slots=True)
class Quantized:
    """What a backend's quantizer made.

    Attributes:
        entry: The file to open, in the work's folder.
        precision: ``"int8"``, ``"int4"``, ``"fp16"``.
        units: Those that are quantised now.
        tools: Versions of the packages that made it.
        route: How it was made, e.g. ``"onnxruntime dynamic, per channel"``.
        notes: What a user should know, in words.
    """

    entry: Path
    precision: str
    units: tuple[str, ...]
    tools: Mapping[str, str]
    route: str = ""
    notes: tuple[str, ...] = ()


class Quantizer(Protocol):
    """What every ``calibration/<backend>.py`` has."""

    def check(self, recipe: Recipe) -> None:
        """Checks that this backend can do a recipe.

        Raises:
            InvalidConfig: It cannot; says what it can.
            MissingDependency: The vendor's tool is not installed.
        """

    def layers(self, entry: Path) -> tuple[str, ...]:
        """Units that can be returned to float one by one, in the graph's order.

        Named after the checkpoint's modules: ``"encoder.layer.0.attention.self.query"``.
        """

    def quantize(self, work: Work) -> Quantized:
        """Quantises a graph.

        Raises:
            ExportFailed: The vendor's tool failed.
        """


def find(row: Backend) -> Quantizer:
    """The quantizer of a backend.

    Raises:
        InvalidConfig: The backend has none.
    """
    if not row.quantizer:
        raise InvalidConfig(f"backend '{row.name}' cannot quantise graphs")
    module = importlib.import_module(row.quantizer.partition(":")[0])
    return cast(Quantizer, module)


def proven(row: Backend, made: Quantized) -> Quantized:
    """What the vendor says of a finished graph, where the backend's module can ask it.

    A module may have a function ``prove``: it takes a graph that passed its gate, adds to its
    ``tools`` what should be known of it, and raises ExportFailed if the vendor refuses it. It is
    called once, as it may take as long as all the rest.

    Raises:
        ExportFailed: The vendor refuses the graph.
    """
    prove = getattr(find(row), "prove", None)
    return made if prove is None else cast(Quantized, prove(made))


def runner(row: Backend) -> str:
    """Name of the backend that a quantised graph is measured in.

    The backend's own, unless its module names another one that runs the same files (``PROXY``):
    TensorRT's graphs are ONNX, and its runtime is only where they will run.
    """
    return str(getattr(find(row), "PROXY", row.name))
