"""A TFLite file as something that can be changed: its layers, constants and operators.

The signatures of a file are separate subgraphs over shared buffers. What is done to a layer here
is done in all of them, so that the weights stay shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.tensors import Array

__all__ = ["Graph", "Layer", "Tensor", "Use"]

#: Indices of a subgraph, and of a tensor in it.
Tensor = tuple[int, int]

_INPUT, _WEIGHT, _BIAS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Use:
    """One operator that reads a layer's weight.

    Attributes:
        subgraph: Index of its signature's subgraph.
        op: The operator, of the schema.
        ordinal: Which of the layer's operators in that subgraph, for weights used repeatedly.
    """

    subgraph: int
    op: Any
    ordinal: int

    @property
    def source(self) -> int:
        """Index of the tensor it reads."""
        return int(self.op.inputs[_INPUT])

    @property
    def result(self) -> int:
        """Index of the tensor it writes."""
        return int(self.op.outputs[0])


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight with the operators that read it, in all signatures.

    Attributes:
        name: The module's path in the checkpoint, as far as the file tells it: lists are not in
            it, so that ``encoder.layer.0`` is ``encoder.0``.
        is_embedding: Whether it is a table that is looked up.
        shape: Of the weight: ``(outputs, inputs)``, or ``(rows, width)`` of a table.
        uses: Its operators.
    """

    name: str
    is_embedding: bool
    shape: tuple[int, ...]
    uses: tuple[Use, ...]


class Graph:
    """An open TFLite file.

    Args:
        content: A path, or the file's contents.
    """

    def __init__(self, content: Path | bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        data = content.read_bytes() if isinstance(content, Path) else content
        self.schema = schema
        self.model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
        self.layers = _layers(self.model, schema.BuiltinOperator)
        self._rename()

    def to_bytes(self) -> bytes:
        """The file's contents."""
        from ai_edge_litert.tools import flatbuffer_utils

        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))

    def tensor_name(self, subgraph: int, tensor: int) -> str:
        """A tensor's name, unlike that of any other in the file."""
        return str(self.model.subgraphs[subgraph].tensors[tensor].name.decode())

    def label(self, layers: Sequence[Layer], label: str) -> None:
        """Puts a label in front of the names of what layers write, for a recipe to find."""
        for layer in layers:
            for use in layer.uses:
                tensor = self.model.subgraphs[use.subgraph].tensors[use.result]
                tensor.name = f"{label}/{tensor.name.decode()}".encode()

    def weight(self, layer: Layer) -> Array:
        """A layer's weight, ``float32[outputs, inputs]``."""
        use = layer.uses[0]
        return self._constant(use.subgraph, use.op.inputs[_WEIGHT])

    def scale_inputs(self, layer: Layer, factors: Array) -> None:
        """Multiplies a weight's columns, ``float32[inputs]``."""
        self._set(layer, _WEIGHT, self.weight(layer) * factors[None, :])

    def scale_outputs(self, layer: Layer, factors: Array) -> None:
        """Multiplies a weight's rows and its bias, ``float32[outputs]``."""
        self._set(layer, _WEIGHT, self.weight(layer) * factors[:, None])
        use = layer.uses[0]
        if len(use.op.inputs) > _BIAS and use.op.inputs[_BIAS] >= 0:
            self._set(layer, _BIAS, self._constant(use.subgraph, use.op.inputs[_BIAS]) * factors)

    def multiply_before(self, uses: Sequence[Use], factors: Array) -> dict[Tensor, Tensor]:
        """Has operators read a product of what they read now.

        Args:
            uses: All of a group's, in every subgraph.
            factors: ``float32[inputs]``.

        Returns:
            The product of each tensor that they read.
        """
        buffer = self._add_buffer(factors)
        products: dict[Tensor, Tensor] = {}
        for subgraph, source in dict.fromkeys((use.subgraph, use.source) for use in uses):
            readers = [u.op for u in uses if (u.subgraph, u.source) == (subgraph, source)]
            place = min(self._place(subgraph, op) for op in readers)
            product = self._insert_product(subgraph, place, source, buffer)
            for op in readers:
                op.inputs = [product, *op.inputs[1:]]
            products[subgraph, source] = (subgraph, product)
        return products

    def multiply_after(self, uses: Sequence[Use], factors: Array) -> None:
        """Has everybody who reads what operators write read a product of it.

        Args:
            uses: One layer's.
            factors: ``float32[outputs]``.
        """
        buffer = self._add_buffer(factors)
        for use in uses:
            written, place = use.result, self._place(use.subgraph, use.op) + 1
            product = self._insert_product(use.subgraph, place, written, buffer)
            self._redirect(use.subgraph, place + 1, written, product)

    # ------------------------------------------------------------------------------ inside

    def _rename(self) -> None:
        """Gives every tensor a short name of its own; signatures keep the names users know."""
        for number, subgraph in enumerate(self.model.subgraphs):
            for index, tensor in enumerate(subgraph.tensors):
                tensor.name = f"{number}/{index}".encode()

    def _constant(self, subgraph: int, index: int) -> Array:
        tensor = self.model.subgraphs[subgraph].tensors[index]
        data = bytes(self.model.buffers[tensor.buffer].data)
        values: Array = np.frombuffer(data, np.float32).reshape(tensor.shape)
        return values

    def _set(self, layer: Layer, place: int, values: Array) -> None:
        use = layer.uses[0]
        tensor = self.model.subgraphs[use.subgraph].tensors[use.op.inputs[place]]
        self.model.buffers[tensor.buffer].data = _as_bytes(values)

    def _add_buffer(self, values: Array) -> tuple[int, int]:
        buffer = self.schema.BufferT()
        buffer.data = _as_bytes(values)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1, len(values)

    def _place(self, subgraph: int, op: Any) -> int:
        operators = self.model.subgraphs[subgraph].operators
        return next(place for place, other in enumerate(operators) if other is op)

    def _insert_product(
        self, subgraph: int, place: int, source: int, buffer: tuple[int, int]
    ) -> int:
        graph = self.model.subgraphs[subgraph]
        constant = self._add_tensor(subgraph, [buffer[1]], buffer[0])
        product = self._add_tensor(subgraph, list(graph.tensors[source].shape), 0)
        op = self.schema.OperatorT()
        op.opcodeIndex = self._opcode(self.schema.BuiltinOperator.MUL)
        op.inputs, op.outputs = [source, constant], [product]
        op.builtinOptionsType = self.schema.BuiltinOptions.MulOptions
        op.builtinOptions = self.schema.MulOptionsT()
        graph.operators.insert(place, op)
        return product

    def _add_tensor(self, subgraph: int, shape: list[int], buffer: int) -> int:
        tensors = self.model.subgraphs[subgraph].tensors
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = shape, self.schema.TensorType.FLOAT32, buffer
        tensor.name = f"{subgraph}/{len(tensors)}".encode()
        tensors.append(tensor)
        return len(tensors) - 1

    def _opcode(self, builtin: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if code.builtinCode == builtin:
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, builtin, 1
        codes.append(code)
        return len(codes) - 1

    def _redirect(self, subgraph: int, start: int, old: int, new: int) -> None:
        graph = self.model.subgraphs[subgraph]
        for op in graph.operators[start:]:
            op.inputs = [new if index == old else index for index in op.inputs]
        graph.outputs = [new if index == old else index for index in graph.outputs]
        for signature in self.model.signatureDefs or ():
            if signature.subgraphIndex == subgraph:
                for output in signature.outputs:
                    if output.tensorIndex == old:
                        output.tensorIndex = new


def _as_bytes(values: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)


# -------------------------------------------------------------------------------------- layers


@dataclass
class _Found:
    """A layer on its way: the names that its tensors have, and its uses so far."""

    names: tuple[str, ...]
    is_embedding: bool
    shape: tuple[int, ...]
    uses: list[Use] = field(default_factory=list)


def _layers(model: Any, builtin: Any) -> tuple[Layer, ...]:
    kinds = {builtin.FULLY_CONNECTED: False, builtin.EMBEDDING_LOOKUP: True}
    found: dict[int, _Found] = {}
    for number, op, kind in _operators(model, kinds):
        tensors = model.subgraphs[number].tensors
        weight = tensors[op.inputs[_WEIGHT]]
        if model.buffers[weight.buffer].data is None:
            continue  # computed, not stored
        names = (weight.name.decode(), tensors[op.outputs[0]].name.decode())
        shape = tuple(int(n) for n in weight.shape)
        layer = found.setdefault(weight.buffer, _Found(names, kinds[kind], shape))
        before = sum(use.subgraph == number for use in layer.uses)
        layer.uses.append(Use(number, op, before))
    return tuple(
        Layer(name, layer.is_embedding, layer.shape, tuple(layer.uses))
        for name, layer in zip(
            _unlike(_module_path(f.names) for f in found.values()), found.values(), strict=True
        )
    )


def _operators(model: Any, kinds: Mapping[int, bool]) -> Iterator[tuple[int, Any, int]]:
    codes = [code.builtinCode for code in model.operatorCodes]
    for number, subgraph in enumerate(model.subgraphs):
        for op in subgraph.operators:
            if codes[op.opcodeIndex] in kinds:
                yield number, op, codes[op.opcodeIndex]


# A tensor's name is made of the modules it comes from, each as a path of "package.Class_name".
_LEAF = re.compile(r"(Linear|Embedding|Conv1D)_[^/]*$")
_STEP = re.compile(r"^_*[A-Za-z0-9]+_(.+)$")
_WRAPPERS = re.compile(r"^(module\.)?(transformer\.)?(?=.)")


def _module_path(names: Sequence[str]) -> str:
    """The module that a weight belongs to, from the names of its tensors."""
    paths = [part for name in names for part in name.split(";") if "/" in part]
    chosen = next((path for path in paths if _LEAF.search(path)), None)
    if chosen is None:
        return names[-1] or "layer"
    steps = (_STEP.match(step.rpartition(".")[2]) for step in chosen.split("/"))
    return _WRAPPERS.sub("", ".".join(step[1] for step in steps if step), count=1)


def _unlike(names: Iterator[str]) -> Iterator[str]:
    """The names, numbered from the second of a kind on."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"
