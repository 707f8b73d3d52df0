"""What quantising an ONNX graph is made of, whoever runs the graph in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.backends import resolve
from edge_tx.calibration import onnx_activations, onnx_smooth
from edge_tx.calibration.abilities import need, refuse_others, row_of
from edge_tx.calibration.observers import Channels, Range
from edge_tx.calibration.onnx_graph import Graph, Unit
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.vendor_tool import mapped
from edge_tx.errors import InvalidConfig
from edge_tx.exporters import onnx_file

__all__ = ["FP16", "TOOL", "Job", "Row", "Table", "half", "with_qdq"]

TOOL = "ONNX Runtime's tool"
"""Whom an error blames."""

_INSTALL = "pip install 'edge-tx[export]'"
_HALF = "edge_tx.exporters.tensorrt_fp16:convert"


@dataclass(frozen=True, slots=True)
class Job:
    """One quantisation under way.

    Attributes:
        work: What was asked for.
        recipe: Its recipe, with the backend's defaults.
        graph: The fp32 graph, which the steps change.
        products: The matrix products to quantise.
        tables: The embeddings to quantise.
        smoothed: Operators whose outputs SmoothQuant takes on.
    """

    work: Work
    recipe: Recipe
    graph: Graph
    products: tuple[Unit, ...]
    tables: tuple[Unit, ...]
    smoothed: frozenset[str]

    @classmethod
    def of(cls, work: Work, row: Row) -> Job:
        """Reads the graph and splits its units.

        Raises:
            InvalidConfig: Every unit stays in float.
        """
        graph = Graph(work.entry)
        recipe = work.recipe.with_defaults(**row.defaults)
        chosen = [unit for unit in graph.units if not work.stays_float(unit.name)]
        tables = [unit for unit in chosen if unit.is_embedding and recipe.embeddings]
        products = [unit for unit in chosen if not unit.is_embedding]
        if not tables and not products:
            raise InvalidConfig(f"recipe '{work.recipe}' leaves every layer in float")
        return cls(work, recipe, graph, tuple(products), tuple(tables), row.smoothed)

    @property
    def units(self) -> tuple[Unit, ...]:
        """All that are quantised, in the graph's order."""
        mine = {unit.name for unit in (*self.products, *self.tables)}
        return tuple(unit for unit in self.graph.units if unit.name in mine)

    @property
    def left_alone(self) -> list[str]:
        """Names of the operators that are not to be quantised.

        Its opposite is no use to ONNX Runtime's tools: they take an empty list for all.
        """
        mine = {unit.node for unit in self.products}
        return [node.name for node in self.graph.nodes if node.name not in mine]

    @property
    def reduce_range(self) -> bool:
        """Whether weights use 7 bits: as the recipe says, else as the target needs."""
        wanted = self.recipe.reduce_range
        return self.work.target.reduce_range if wanted is None else wanted

    def smooth(self) -> None:
        """Does what the recipe says of SmoothQuant, on what only that needs to know."""
        self._smooth(onnx_smooth.sources(self.graph, self.products, self.smoothed))

    def ranges(self) -> dict[str, Range]:
        """The range of every tensor that the products read, after smoothing."""
        seen = self._smooth(dict.fromkeys(unit.source for unit in self.products))
        return onnx_activations.ranges(self.graph.model, seen, self.work.feeds, self.recipe)

    def _smooth(self, tensors: Iterable[str]) -> dict[str, Channels]:
        """Measures tensors and smooths; gives the extremes of what stands in their place."""
        names, alpha = list(tensors), self.recipe.smooth
        seen = onnx_activations.channels(self.graph.model, names, self.work.feeds)
        if alpha is None:
            return seen
        groups = onnx_smooth.sources(self.graph, self.products, self.smoothed)
        return onnx_smooth.smooth(self.graph, groups, seen, alpha)

    def quantize_tables(self, *, whole: bool = False) -> None:
        """Stores the embeddings as int8; see :meth:`Graph.quantize_embedding`."""
        for unit in self.tables:
            self.graph.quantize_embedding(unit, per_channel=self.recipe.per_channel, whole=whole)

    def save(self, model: Any, entry: Path) -> None:
        """Writes a model without what the vendor's tool left in it beside the graph."""
        del model.graph.value_info[:]
        del model.metadata_props[:]
        onnx_file.save_proto(model, entry)


def with_qdq(job: Job, **options: Any) -> Any:
    """Puts Q and DQ before products and on their weights.

    Args:
        job: The job; its recipe says which ranges, and whether they have an offset.
        **options: More of ONNX Runtime's ``extra_options``.

    Returns:
        An ``onnx.ModelProto``.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    symmetric = job.recipe.symmetric
    found = {n: (np.float32(low), np.float32(high)) for n, (low, high) in job.ranges().items()}
    tool = QDQQuantizer(
        job.graph.model,
        job.recipe.per_channel,
        job.reduce_range,
        QuantType.QInt8,
        QuantType.QInt8 if symmetric else QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, found),
        [],
        job.left_alone,
        ["MatMul"],
        {
            "ActivationSymmetric": symmetric,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            # What a product gives goes to sums, norms and softmax, which stay in float.
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            **options,
        },
    )
    tool.quantize_model()
    return tool.model.model


def half(job: Job, entry: Path) -> tuple[Unit, ...]:
    """Writes everything in half precision but sums, norms and softmax."""
    kept = [unit.node for unit in job.graph.units if unit not in job.units]
    job.graph.save(entry)
    resolve(_HALF)(entry, kept)  # by its dotted name, as every room reaches another
    return job.units


@dataclass(frozen=True, slots=True)
class Row:
    """How a backend does a recipe.

    Attributes:
        run: Called with the job and the file to write; gives the units that are quantised.
        precision: Of the graph.
        route: How it is made, in words.
        defaults: Options that are best for the backend, where the user chose nothing.
        allowed: The values that an option may have, where it may not have all.
        smoothed: Operators whose outputs SmoothQuant takes on.
        notes: What a user should know.
    """

    run: Callable[[Job, Path], tuple[Unit, ...]]
    precision: str
    route: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    smoothed: frozenset[str] = onnx_smooth.NORMS
    notes: tuple[str, ...] = ()


#: The row of half precision, which is the same wherever the graph runs.
FP16 = Row(run=half, precision="fp16", route="onnxruntime.transformers.float16")


@dataclass(frozen=True, slots=True)
class Table:
    """The recipes of a backend whose graphs are ONNX.

    Attributes:
        backend: Its name.
        rows: By the recipes' names.
        refused: Why other recipes have no row, by their names.
    """

    backend: str
    rows: Mapping[str, Row]
    refused: Mapping[str, str]

    def check(self, recipe: Recipe) -> None:
        """Checks that the backend can do a recipe.

        Raises:
            InvalidConfig: It cannot; says what it can.
            MissingDependency: A package is not installed.
        """
        row = row_of(self.backend, recipe, self.rows, self.refused)
        refuse_others(self.backend, recipe, row.allowed)
        need(("onnx", "onnxruntime"), "quantising ONNX graphs", _INSTALL)

    def quantize(self, work: Work) -> Quantized:
        """Writes ``model.onnx`` into the work's folder.

        Raises:
            InvalidConfig: The backend cannot do the recipe, or it leaves every layer in float.
            MissingDependency: A package is not installed.
            ExportFailed: ONNX Runtime's tool failed.
        """
        self.check(work.recipe)
        row = self.rows[work.recipe.name]
        entry = work.folder / "model.onnx"
        with mapped(TOOL, f"quantising {work.entry.name}"):
            units = row.run(Job.of(work, row), entry)
        return Quantized(
            entry=entry,
            precision=row.precision,
            units=tuple(unit.name for unit in units),
            tools={name: version(name) for name in ("onnx", "onnxruntime")},
            route=row.route,
            notes=row.notes,
        )
