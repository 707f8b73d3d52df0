"""The units of an OpenVINO graph: the weights that can be quantised, under their modules' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ATTENTION", "Unit", "units"]

#: The operator that holds a whole attention. It has no int8 kernel on CPUs.
ATTENTION = "ScaledDotProductAttention"

_PORTS = {"MatMul": 1, "Gather": 0}
# What tracing puts around a module's name: the variable it came from, our own wrapper, and the
# operator that the frontend made of a call.
_WRAPPERS = re.compile(r"^(self\.|__module\.)?(module\.)?(transformer\.)?(?=.)")
_PARAMETER = re.compile(r"\.weight$")
_CALL = re.compile(r"/.*$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A weight with the operator that reads it.

    Attributes:
        name: The module's path in the checkpoint, e.g. ``"encoder.layer.0.output.dense"``.
        node: The operator's name in the graph.
        operator: The node itself, of openvino.
        port: Which of its inputs the weight is.
        is_embedding: Whether it is a table that is looked up, and not multiplied.
    """

    name: str
    node: str
    operator: Any
    port: int
    is_embedding: bool


def units(model: Any) -> tuple[Unit, ...]:
    """The weights of matrix products and embeddings, in the graph's order.

    Args:
        model: An ``openvino.Model`` in fp32.
    """
    found: dict[str, Unit] = {}
    for unit in _units(model):
        name, times = unit.name, 2
        while name in found:  # a weight that two operators read
            name, times = f"{unit.name}#{times}", times + 1
        found[name] = Unit(name, unit.node, unit.operator, unit.port, unit.is_embedding)
    return tuple(found.values())


def _units(model: Any) -> Iterator[Unit]:
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind not in _PORTS:
            continue
        port = _PORTS[kind]
        weight = node.input(port).get_source_output().get_node()
        if weight.get_type_name() != "Constant" or not _is_table(weight):
            continue
        yield Unit(_name(weight, node), node.get_friendly_name(), node, port, kind == "Gather")


def _is_table(weight: Any) -> bool:
    return len(weight.shape) == 2 and weight.get_element_type().is_real()


def _name(weight: Any, node: Any) -> str:
    """The module's path: in the weight's name if the frontend kept it, else in the node's."""
    name = weight.get_friendly_name()
    if _PARAMETER.search(name):
        name = _PARAMETER.sub("", name)
    else:
        name = _CALL.sub("", node.get_friendly_name())
    return _WRAPPERS.sub("", name, count=1)
