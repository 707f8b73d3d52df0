"""ONNX graphs that any ONNX runtime opens, with dynamic batch and length."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.errors import ExportFailed, InvalidConfig, MissingDependency
from edge_tx.exporters import onnx_file, routes
from edge_tx.exporters.attention import written_out_attention
from edge_tx.exporters.causes import root_cause
from edge_tx.exporters.examples import example
from edge_tx.exporters.quiet import quiet
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import TensorSpec

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["OPSET", "check_options", "export"]

#: 20 is the first opset with a Gelu operator, which ONNX Runtime (1.17 and later) fuses with its
#: bias; below it torch writes five nodes that ONNX Runtime does not put together again. It is
#: also the last one that TensorRT's parser documents for 10.0 and 10.1.
OPSET = 20
OPSETS = range(17, 21)

#: ONNX Runtime 1.20, the oldest we run on, reads IR version 10 at most.
IR_VERSION = 10


def check_options(options: ExportOptions) -> None:
    """Checks what can be checked before a checkpoint is loaded.

    Raises:
        UnknownName: No such route.
        InvalidConfig: An opset or a precision this exporter does not write.
        MissingDependency: A package the route needs is not installed.
    """
    if options.precision != "fp32":
        raise InvalidConfig(f"the ONNX exporter writes fp32, not {options.precision}")
    if options.opset and options.opset not in OPSETS:
        raise InvalidConfig(
            f"opset must be {OPSETS.start} to {OPSETS.stop - 1}, not {options.opset}"
        )
    for module in routes.choose("", options.route).modules:
        if importlib.util.find_spec(module) is None:
            raise MissingDependency(module, "exporting to ONNX", "pip install 'edge-tx[export]'")


def export(
    traced: Traced,
    folder: Path,
    options: ExportOptions | None = None,
    *,
    single_file_bytes: int = onnx_file.SINGLE_FILE_BYTES,
) -> Exported:
    """Writes ``model.onnx`` into a folder, and ``model.onnx.data`` for the weights.

    Attention is traced written out (matrix product, mask, softmax), not as torch's fused call,
    whose ONNX form guards every softmax against rows without any key: nodes that cost time and
    that no row with a token in it needs.

    Args:
        traced: The checkpoint.
        folder: An empty folder.
        options: Route and opset.
        single_file_bytes: Weights above this go to a file of their own.

    Returns:
        What was written. The graph's names, types and symbolic dimensions are those of
        ``traced``.

    Raises:
        UnknownName: No such route.
        InvalidConfig: An opset or a precision this exporter does not write.
        MissingDependency: A package the route needs is not installed.
        ExportFailed: The route failed, or its graph is not valid.
    """
    options = options or ExportOptions()
    check_options(options)
    route = routes.choose(traced.source.model_type, options.route)
    with quiet():
        try:
            with written_out_attention(traced.module):
                model = route.convert(traced, example(traced), options.opset or OPSET)
            _conform(model, traced)
            _check(model)
        except ExportFailed:
            raise
        except Exception as exc:
            raise _failed(traced, route, exc) from exc
        entry = folder / "model.onnx"
        onnx_file.save(model, entry, single_file_bytes)
    tools = {name: version(name) for name in ("torch", "transformers", "onnx")}
    return Exported(entry=entry, precision="fp32", route=route.name, tools=tools)


def _conform(model: onnx_ir.Model, traced: Traced) -> None:
    """Gives the graph exactly the names and shapes of the specs, and nothing of this machine."""
    graph = model.graph
    _name(graph.inputs, traced.inputs, "inputs")
    _unshare(graph)
    _name(graph.outputs, traced.outputs, "outputs")
    _strip(model)
    model.ir_version = min(model.ir_version or IR_VERSION, IR_VERSION)


def _name(values: Sequence[Any], specs: Sequence[TensorSpec], what: str) -> None:
    import onnx_ir

    if len(values) != len(specs):
        found = ", ".join(str(value.name) for value in values)
        raise ExportFailed(f"the graph has {len(values)} {what} ({found}), not {len(specs)}")
    for value, spec in zip(values, specs, strict=True):
        if value.dtype is None or value.dtype.numpy() != spec.dtype.numpy:
            raise ExportFailed(
                f"the graph's '{spec.name}' is {value.dtype}, not {spec.dtype.value}"
            )
        value.name = spec.name
        value.shape = onnx_ir.Shape(spec.shape)


def _unshare(graph: onnx_ir.Graph) -> None:
    """Puts an Identity before an output that is an input or stands twice: names must differ."""
    import onnx_ir

    seen: set[int] = set()
    for index, value in enumerate(list(graph.outputs)):
        if value.is_graph_input() or id(value) in seen:
            node = onnx_ir.node("Identity", [value])
            node.outputs[0].type = value.type
            graph.append(node)
            graph.outputs[index] = node.outputs[0]
        seen.add(id(value))


def _strip(model: onnx_ir.Model) -> None:
    """Removes stack traces with this machine's paths, and the shapes found while tracing.

    The shapes carry symbols of the tracer's own; every runtime infers them again from the
    inputs' "batch" and "seq".
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(model)
    model.metadata_props.clear()
    model.doc_string = None
    graph = model.graph
    graph.metadata_props.clear()
    ends = {id(value) for value in (*graph.inputs, *graph.outputs)}
    for value in (*graph.inputs, *graph.initializers.values(), *_made(graph)):
        value.metadata_props.clear()
        value.doc_string = None
        if id(value) not in ends and value.const_value is None:
            value.shape = None
            value.type = None


def _made(graph: onnx_ir.Graph) -> Iterator[Any]:
    for node in graph:
        yield from node.outputs


def _check(model: onnx_ir.Model) -> None:
    from onnx_ir.passes.common import CheckerPass

    CheckerPass(full_check=True)(model)


def _failed(traced: Traced, route: routes.Route, exc: BaseException) -> ExportFailed:
    others = " or ".join(f"--route {name}" for name in routes.ROUTES if name != route.name)
    return ExportFailed(
        f"route {route.name} cannot export {traced.source.architecture} "
        f"({traced.source.model_type}): {root_cause(exc)}; try {others}"
    )
