"""The units of an ONNX graph, and the little surgery that quantising them takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.exporters import onnx_file
from edge_tx.tensors import Array

__all__ = ["MIN_COLUMNS", "Graph", "Unit"]

#: A matrix with fewer columns is the last one of a classifier or of span scores. It has a
#: thousandth of the weights and decides the answer.
MIN_COLUMNS = 16

_IDS = "input_ids"
_PASSED_ON = frozenset({"Cast", "Identity"})
# What the exporter puts around a module's name, and the parameter's own name.
_AROUND = re.compile(r"^(module\.)?(transformer\.)?(?=.)|\.(weight|bias)(_Transposed)?$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A weight with the operator that reads it.

    Attributes:
        name: The module's path in the checkpoint, e.g. ``"encoder.layer.0.output.dense"``.
        node: The operator's name in the graph.
        weight: The initializer's name: ``float32[in, out]``, or ``float32[tokens, out]``.
        source: What the operator multiplies, or looks up.
        is_embedding: Whether it is a table that is looked up, and not multiplied.
    """

    name: str
    node: str
    weight: str
    source: str
    is_embedding: bool


class Graph:
    """An fp32 ONNX graph in memory, in the form that quantising wants.

    Args:
        entry: The ``.onnx`` file; weights in a file beside it are read as well.
    """

    def __init__(self, entry: Path) -> None:
        from onnxruntime.quantization.onnx_model import ONNXModel

        self.model: Any = onnx_file.load(entry)
        self._name_nodes()
        # ONNX Runtime has no kernel for a Gemm that quantises its input itself.
        ONNXModel(self.model).replace_gemm_with_matmul()

    @property
    def nodes(self) -> Any:
        """Its operators in order."""
        return self.model.graph.node

    @cached_property
    def weights(self) -> Mapping[str, Any]:
        """Its constants by name, as they were when they were first asked for."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def makers(self) -> Mapping[str, Any]:
        """The operator that makes each tensor."""
        return {name: node for node in self.nodes for name in node.output}

    def weight(self, name: str) -> Array:
        """A constant's values."""
        from onnx import numpy_helper

        values: Array = numpy_helper.to_array(self.weights[name])
        return values

    def readers(self, tensor: str) -> list[Any]:
        """The operators that read a tensor."""
        return [node for node in self.nodes if tensor in node.input]

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The weights of matrix products and the token embedding, in the graph's order."""
        found: dict[str, Unit] = {}
        for unit in self._units():
            name, times = unit.name, 2
            while name in found:  # a weight that two operators read
                name, times = f"{unit.name}#{times}", times + 1
            found[name] = Unit(name, unit.node, unit.weight, unit.source, unit.is_embedding)
        return tuple(found.values())

    # --------------------------------------------------------------------------------- changes

    def add_weight(self, name: str, values: Array) -> str:
        """Adds a constant; gives its name, which nothing else has."""
        from onnx import numpy_helper

        taken = {tensor.name for tensor in self.model.graph.initializer} | self.makers.keys()
        while name in taken:
            name += "_"
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def set_weight(self, name: str, values: Array) -> None:
        """Gives a constant other values."""
        from onnx import numpy_helper

        self.weights[name].CopyFrom(numpy_helper.from_array(values, name))

    def insert_after(self, node: Any, new: Iterable[Any]) -> None:
        """Puts operators after another."""
        place = next(i for i, other in enumerate(self.nodes) if other is node) + 1
        for offset, one in enumerate(new):
            self.nodes.insert(place + offset, one)
        self._forget()

    def quantize_embedding(self, unit: Unit, *, per_channel: bool, whole: bool = False) -> None:
        """Stores a table as int8.

        Args:
            unit: The embedding.
            per_channel: Whether each token has its own scale, or the table one. A scale for each
                column, as products have it, errs by half as much again: outliers are rows.
            whole: Whether the table is widened to float and then looked up, for a runtime that
                does so once; otherwise the rows are, after they are looked up.
        """
        from onnx import TensorProto, helper

        node = next(node for node in self.nodes if node.name == unit.node)
        table = self.weight(unit.weight)
        scale = np.abs(table).max(axis=1 if per_channel else None, keepdims=per_channel) / 127
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        small = np.clip(np.round(table / scale), -127, 127).astype(np.int8)
        stored = self.add_weight(f"{unit.weight}_quantized", small)
        if whole:
            widened = f"{unit.weight}_widened"
            scales = self.add_weight(f"{unit.weight}_scale", scale.squeeze())
            node.input[0] = widened
            wide = helper.make_node(
                "DequantizeLinear", [stored, scales], [widened], widened, axis=0
            )
            self.nodes.insert(0, wide)
        else:
            # Not a DequantizeLinear: ONNX Runtime's takes twice as long as Cast and Mul together.
            out, rows, floats, sizes = (
                f"{node.output[0]}{end}" for end in ("", "_int8", "_float", "_scale")
            )
            scales = self.add_weight(f"{unit.weight}_scale", scale)
            ids = node.input[1]
            node.input[0], node.output[0] = stored, rows
            new = [helper.make_node("Cast", [rows], [floats], floats, to=TensorProto.FLOAT)]
            if per_channel:
                new.append(helper.make_node("Gather", [scales, ids], [sizes], sizes))
            new.append(
                helper.make_node("Mul", [floats, sizes if per_channel else scales], [out], out)
            )
            self.insert_after(node, new)
        self.drop_unread()

    def drop_unread(self) -> None:
        """Removes constants that nothing reads any more."""
        read = {name for node in self.nodes for name in node.input}
        read |= {output.name for output in self.model.graph.output}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in read]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)
        self._forget()

    def save(self, entry: Path) -> None:
        """Writes it: one file, or a second one ``<name>.data`` for its weights."""
        onnx_file.save_proto(self.model, entry)

    def _forget(self) -> None:
        for name in ("weights", "makers"):
            self.__dict__.pop(name, None)

    # ------------------------------------------------------------------------------------ units

    def _name_nodes(self) -> None:
        """Gives every operator a name of its own: the vendor's tool chooses operators by it."""
        seen: Counter[str] = Counter()
        for node in self.nodes:
            base = node.name or f"{node.op_type}_of_{node.output[0]}"
            seen[base] += 1
            node.name = base if seen[base] == 1 else f"{base}_again_{seen[base]}"

    def _units(self) -> Iterator[Unit]:
        for node in self.nodes:
            found = _KINDS.get(node.op_type)
            weight = None if found is None else self._table(node.input[found.port])
            if found is None or weight is None or not found.fits(self, node, weight):
                continue
            yield Unit(
                name=self._name(node),
                node=node.name,
                weight=weight.name,
                source=node.input[1 - found.port],
                is_embedding=found.is_embedding,
            )

    def _table(self, name: str) -> Any:
        import onnx

        weight = self.weights.get(name)
        is_table = (
            weight is not None
            and len(weight.dims) == 2
            and weight.data_type == onnx.TensorProto.FLOAT
        )
        return weight if is_table else None

    def _name(self, node: Any) -> str:
        """The module's path: in the name of the weight, else of the bias, else the operator's.

        Exporters transpose a linear layer's weight ahead of time and give it a number; its bias
        keeps its name.
        """
        biases = (
            name
            for reader in self.readers(node.output[0])
            if reader.op_type == "Add"
            for name in reader.input
        )
        for name in (*node.input, *biases):
            if name in self.weights and "." in name:
                return _AROUND.sub("", name)
        return str(node.name)

    def _looks_up_tokens(self, node: Any) -> bool:
        name = node.input[1]
        while name in self.makers and self.makers[name].op_type in _PASSED_ON:
            name = self.makers[name].input[0]
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        return name == _IDS and axis == 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """An operator that may hold a unit: which input is the weight, and what else must hold."""

    port: int
    is_embedding: bool
    fits: Callable[[Graph, Any, Any], bool]


_KINDS: Mapping[str, _Kind] = {
    "MatMul": _Kind(1, False, lambda graph, node, weight: weight.dims[1] >= MIN_COLUMNS),
    "Gather": _Kind(0, True, lambda graph, node, weight: graph._looks_up_tokens(node)),
}
