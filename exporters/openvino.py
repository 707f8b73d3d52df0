"""OpenVINO graphs: ``model.xml`` and its weights ``model.bin``, with dynamic batch and length."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_tx.errors import ExportFailed, InvalidConfig, MissingDependency, UnknownName
from edge_tx.exporters.attention import written_out_attention
from edge_tx.exporters.quiet import quiet
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.telemetry import no_openvino_telemetry
from edge_tx.tensors import TensorSpec
from edge_tx.text import Row, Tokenizer, collate

__all__ = ["DEFAULT", "PRECISIONS", "ROUTES", "Route", "check_options", "export"]

#: Whether weights are stored in half precision. The graph's inputs, outputs and arithmetic are
#: the same in both.
PRECISIONS: Mapping[str, bool] = {"fp32": False, "fp16": True}

_EXAMPLES = ("One short text.", "Another, with a few more words in it than the first has.")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to make a graph.

    Attributes:
        name: What users write: ``--route torch-trace``.
        title: What it is, in words.
        convert: Called with the checkpoint and the options; gives an ``openvino.Model`` whose
            inputs carry the names of the checkpoint's.
        modules: What must be importable.
        packages: Whose versions the manifest records.
    """

    name: str
    title: str
    convert: Callable[[Traced, ExportOptions], Any]
    modules: tuple[str, ...]
    packages: tuple[str, ...]


def _torch_trace(traced: Traced, options: ExportOptions) -> Any:
    return _from_torch(traced)


def _torch_export(traced: Traced, options: ExportOptions) -> Any:
    return _from_torch(traced, dynamo=True)


def _from_torch(traced: Traced, **how: Any) -> Any:
    """Converts the module itself; its weights are shared with the graph, not copied."""
    import openvino as ov
    import torch

    feeds = _example(traced)
    # OpenVINO fuses it again. From torch's fused call it gives NaN for a row without any key
    # (ModernBERT's local attention has such, in the padding), which pooling spreads.
    with torch.no_grad(), written_out_attention(traced.module):
        return ov.convert_model(
            traced.module,
            example_input=tuple(feeds[spec.name] for spec in traced.inputs),
            input=[ov.PartialShape(_dims(spec)) for spec in traced.inputs],
            **how,
        )


def _onnx(traced: Traced, options: ExportOptions) -> Any:
    """Converts the ONNX exporter's graph, in a folder that lives as long as the conversion."""
    import openvino as ov

    from edge_tx.exporters import onnx

    with tempfile.TemporaryDirectory(prefix="edge-tx-") as folder:
        made = onnx.export(traced, Path(folder), ExportOptions(opset=options.opset))
        # Not mapped from the file, which is about to go.
        return ov.convert_model(made.entry, share_weights=False)


_TORCH = ("torch", "transformers", "openvino")
_ROWS = (
    Route("torch-trace", "OpenVINO's frontend over torch.jit.trace", _torch_trace, _TORCH, _TORCH),
    Route("torch-export", "OpenVINO's frontend over torch.export", _torch_export, _TORCH, _TORCH),
    Route(
        "onnx",
        "OpenVINO's frontend over the ONNX exporter's graph",
        _onnx,
        (*_TORCH, "onnx", "onnxscript"),
        (*_TORCH, "onnx"),
    ),
)

ROUTES: Mapping[str, Route] = {row.name: row for row in _ROWS}

#: Exact for every family and task that was tried (the table is in docs/backends/openvino.md),
#: needs no ONNX, shares the weights with torch, and takes under a second for a small model where
#: ``onnx`` takes ten.
DEFAULT = "torch-trace"


def check_options(options: ExportOptions) -> None:
    """Checks what can be checked before a checkpoint is loaded.

    Raises:
        UnknownName: No such route or precision.
        InvalidConfig: An opset for a route that writes no ONNX.
        MissingDependency: A package the route needs is not installed.
    """
    route = _route(options)
    if options.precision not in PRECISIONS:
        raise UnknownName("precision of openvino", options.precision, PRECISIONS)
    if options.opset and route.name != "onnx":
        raise InvalidConfig(f"an opset is for --route onnx; {route.name} writes no ONNX")
    for module in route.modules:
        if importlib.util.find_spec(module) is None:
            install = "pip install 'edge-tx[export,openvino]'"
            raise MissingDependency(module, "exporting to OpenVINO", install)


def export(traced: Traced, folder: Path, options: ExportOptions | None = None) -> Exported:
    """Writes ``model.xml`` and ``model.bin`` into a folder.

    Args:
        traced: The checkpoint.
        folder: An empty folder.
        options: Precision (``"fp32"``, or ``"fp16"`` for weights stored in half precision),
            route, and the opset of the ``onnx`` route.

    Returns:
        What was written. The graph's names, types and dimensions are those of ``traced``; its
        symbolic dimensions are kept as OpenVINO layouts (``[N,SEQ]``, its way to write
        ``[batch,seq]``).

    Raises:
        UnknownName: No such route or precision.
        InvalidConfig: An opset for a route that writes no ONNX.
        MissingDependency: A package the route needs is not installed.
        ExportFailed: The route failed, or its graph is not what was asked for.
    """
    options = options or ExportOptions()
    check_options(options)
    route = _route(options)
    entry = folder / "model.xml"
    with quiet():
        try:
            with no_openvino_telemetry():
                import openvino as ov
            model = _conform(route.convert(traced, options), traced)
            ov.save_model(model, entry, compress_to_fp16=PRECISIONS[options.precision])
        except (ExportFailed, InvalidConfig):
            raise
        except Exception as exc:
            raise _failed(traced, route, exc) from exc
    tools = {name: version(name) for name in route.packages}
    return Exported(entry=entry, precision=options.precision, route=route.name, tools=tools)


def _route(options: ExportOptions) -> Route:
    try:
        return ROUTES[options.route or DEFAULT]
    except KeyError:
        raise UnknownName("OpenVINO route", options.route, ROUTES) from None


def _example(traced: Traced) -> dict[str, Any]:
    """Two rows of different length: neither axis has size 1, which a tracer would fix."""
    import torch

    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    rows = [Row(i, e.ids, e) for i, e in enumerate(tokenizer.encode(_EXAMPLES))]
    feeds = collate(rows, traced.policy)
    return {name: torch.from_numpy(array) for name, array in feeds.items()}


def _conform(model: Any, traced: Traced) -> Any:
    """Gives the graph exactly the names, order and shapes of the specs.

    The converter's own record of how it was called goes: it holds paths of this machine.
    """
    import openvino as ov

    parameters = [_input(model, spec).get_node() for spec in traced.inputs]
    if len(model.inputs) != len(parameters) or len(model.outputs) != len(traced.outputs):
        raise ExportFailed(
            f"the graph has {len(model.inputs)} inputs and {len(model.outputs)} outputs, "
            f"not {len(parameters)} and {len(traced.outputs)}"
        )
    for node, spec in zip(parameters, traced.inputs, strict=True):
        node.set_partial_shape(ov.PartialShape(_dims(spec)))
        node.set_element_type(ov.Type(spec.dtype.numpy))
    model = ov.Model(model.get_results(), parameters, "edge_tx")
    for port, spec in zip(
        [*model.inputs, *model.outputs], [*traced.inputs, *traced.outputs], strict=True
    ):
        _name(port, spec)
    _check(model, traced)
    return model


def _input(model: Any, spec: TensorSpec) -> Any:
    for port in model.inputs:
        if spec.name in port.get_names():
            return port
    found = ", ".join(port.get_any_name() for port in model.inputs if port.get_names())
    raise ExportFailed(f"the graph has no input '{spec.name}'; it takes {found or 'unnamed ones'}")


def _name(port: Any, spec: TensorSpec) -> None:
    import openvino as ov

    port.get_tensor().set_names({spec.name})
    port.get_node().set_friendly_name(spec.name)
    axes = (dim if isinstance(dim, str) else "?" for dim in spec.shape)
    ov.layout_helpers.set_layout(port, ov.Layout(f"[{','.join(axes)}]"))


def _check(model: Any, traced: Traced) -> None:
    """Refuses a graph whose names, types or shapes are not the specs'.

    A fixed axis where a symbolic one must be would be right at the traced shape only.
    """
    model.validate_nodes_and_infer_types()
    for port, spec in zip(
        [*model.inputs, *model.outputs], [*traced.inputs, *traced.outputs], strict=True
    ):
        dims = [d.get_length() if d.is_static else -1 for d in port.get_partial_shape()]
        dtype = port.get_element_type().to_dtype()
        if port.get_names() != {spec.name} or dims != _dims(spec) or dtype != spec.dtype.numpy:
            raise ExportFailed(
                f"the graph has {dtype}{dims} named {sorted(port.get_names())} where {spec} must be"
            )


def _dims(spec: TensorSpec) -> list[int]:
    return [dim if isinstance(dim, int) else -1 for dim in spec.shape]


def _failed(traced: Traced, route: Route, exc: BaseException) -> ExportFailed:
    others = " or ".join(f"--route {name}" for name in ROUTES if name != route.name)
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    why = f"{type(exc).__name__}: {' '.join(lines)[:300]}"
    return ExportFailed(
        f"route {route.name} cannot export {traced.source.architecture} "
        f"({traced.source.model_type}) to OpenVINO: {why}; try {others}"
    )
