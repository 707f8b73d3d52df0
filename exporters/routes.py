"""The ways from a torch module to an ONNX graph, and which one a family takes.

A route is a row of :data:`ROUTES`. Which one is exact for a family is a row of
:data:`FAMILIES`, found by running each family's graph at shapes other than the traced one.
A family without a row takes the default route, and the parity gate judges the outcome. A route
that fails is an error: another one is never tried behind the user's back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edge_tx.errors import UnknownName
from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["DEFAULT", "FAMILIES", "ROUTES", "Family", "Route", "choose"]


@dataclass(frozen=True, slots=True)
class Route:
    """One way to make a graph.

    Attributes:
        name: What users write: ``--route torch-dynamo``.
        title: What it is, in words.
        convert: Called with the traced module, example feeds and the opset.
        modules: What must be importable.
    """

    name: str
    title: str
    convert: Callable[[Traced, Mapping[str, Array], int], onnx_ir.Model]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """What was seen of a family.

    Attributes:
        model_type: As in the checkpoint's ``config.json``.
        route: The route it takes.
        max_abs_error: Largest difference to torch over batches of 1 to 8 and lengths of 1 to
            128, relative to the largest output if that is above 1, on a random model.
        nodes: Nodes of the graph of a two-layer model with mean pooling on that route.
    """

    model_type: str
    route: str
    max_abs_error: float
    nodes: int


def _torch_dynamo(traced: Traced, feeds: Mapping[str, Array], opset: int) -> onnx_ir.Model:
    import torch

    program = torch.onnx.export(
        traced.module,
        _positional(traced, feeds),
        dynamo=True,
        input_names=[spec.name for spec in traced.inputs],
        output_names=[spec.name for spec in traced.outputs],
        dynamic_shapes=tuple(
            dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in _dynamic_axes(traced)
        ),
        opset_version=opset,
        verbose=False,
    )
    return cast("onnx_ir.Model", program.model)


def _transformers(traced: Traced, feeds: Mapping[str, Array], opset: int) -> onnx_ir.Model:
    import torch
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    names = [spec.name for spec in traced.inputs]
    config = OnnxConfig(
        opset_version=opset,
        # Its own dynamic=True is Dim.AUTO, which may fix an axis without a word.
        dynamic_shapes={
            name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
            for name, axes in zip(names, _dynamic_axes(traced), strict=True)
        },
    )
    by_name = _by_name(traced)
    args = dict(zip(names, _positional(traced, feeds), strict=True))
    return cast("onnx_ir.Model", OnnxExporter().export(by_name, args, config=config).program)


def _torch_script(traced: Traced, feeds: Mapping[str, Array], opset: int) -> onnx_ir.Model:
    import io

    import onnx
    import onnx_ir
    import torch

    axes = {
        spec.name: {i: dim for i, dim in enumerate(spec.shape) if isinstance(dim, str)}
        for spec in (*traced.inputs, *traced.outputs)
    }
    buffer = io.BytesIO()
    torch.onnx.export(
        traced.module,
        _positional(traced, feeds),
        buffer,
        dynamo=False,
        input_names=[spec.name for spec in traced.inputs],
        output_names=[spec.name for spec in traced.outputs],
        dynamic_axes=axes,
        opset_version=opset,
    )
    proto = onnx.load_model_from_string(buffer.getvalue())
    return cast("onnx_ir.Model", onnx_ir.from_proto(proto))


def _positional(traced: Traced, feeds: Mapping[str, Array]) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(feeds[spec.name]) for spec in traced.inputs)


def _dynamic_axes(traced: Traced) -> list[list[int]]:
    return [
        [axis for axis, dim in enumerate(spec.shape) if isinstance(dim, str)]
        for spec in traced.inputs
    ]


def _by_name(traced: Traced) -> Any:
    """The module behind a face that takes its inputs by name, as transformers' exporter calls."""
    import torch

    names = [spec.name for spec in traced.inputs]

    class ByName(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = traced.module

        def forward(self, **feeds: Any) -> Any:
            return self.module(*(feeds[name] for name in names))

    return ByName().eval()


_DYNAMO = ("torch", "onnx", "onnxscript")
_ROWS = (
    Route("torch-dynamo", "torch.onnx over torch.export", _torch_dynamo, _DYNAMO),
    Route("transformers", "transformers.exporters", _transformers, (*_DYNAMO, "transformers")),
    Route("torch-script", "torch.onnx over TorchScript", _torch_script, ("torch", "onnx")),
)

ROUTES: Mapping[str, Route] = {row.name: row for row in _ROWS}

#: Maintained by torch, no patches of anybody's, exact for every family below, and a tied weight
#: is stored once. ``transformers`` adds about three nodes and two seconds and patches torch while
#: it runs: it is there for what torch alone cannot trace. ``torch-script`` is being retired by
#: torch, stores a tied weight twice and holds the weights three times in memory.
DEFAULT = "torch-dynamo"

_FAMILY_ROWS = (
    Family("albert", DEFAULT, 1.2e-7, 124),
    Family("bert", DEFAULT, 1.8e-7, 108),
    Family("camembert", DEFAULT, 1.2e-7, 116),
    Family("deberta-v2", DEFAULT, 1.5e-7, 197),
    Family("distilbert", DEFAULT, 1.8e-7, 103),
    Family("electra", DEFAULT, 0.9e-7, 110),
    Family("mobilebert", DEFAULT, 1.2e-7, 193),
    Family("modernbert", DEFAULT, 1.7e-7, 149),
    Family("mpnet", DEFAULT, 1.2e-7, 139),
    Family("roberta", DEFAULT, 1.2e-7, 116),
    Family("xlm-roberta", DEFAULT, 1.2e-7, 116),
)

FAMILIES: Mapping[str, Family] = {row.model_type: row for row in _FAMILY_ROWS}


def choose(model_type: str, name: str = "") -> Route:
    """The route a family takes.

    Args:
        model_type: As in the checkpoint's config.
        name: Of a route, to have that one; empty for the table's choice.

    Raises:
        UnknownName: There is no route of that name.
    """
    if not name:
        row = FAMILIES.get(model_type)
        name = row.route if row is not None else DEFAULT
    try:
        return ROUTES[name]
    except KeyError:
        raise UnknownName("ONNX route", name, ROUTES) from None
