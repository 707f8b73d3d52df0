"""TensorRT packages: a strongly typed ONNX graph and the shapes to build its engine for.

An engine fits one GPU and one release of TensorRT, so what a bundle carries is what every one of
them builds from: ``model.onnx``, in which each tensor's type is the precision it is computed in,
and ``profiles.json``. The engine is made on the device, by ``edge-tx build``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from math import prod
from pathlib import Path

from edge_tx.errors import ExportFailed, InvalidConfig
from edge_tx.exporters import onnx as base
from edge_tx.exporters import tensorrt_fp16, tensorrt_preflight, tflite_buckets
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import TensorSpec

__all__ = ["OPERATORS", "PRECISIONS", "PROFILES", "Shapes", "check_options", "default", "export"]

#: Name of the file beside the graph.
PROFILES = "profiles.json"
SCHEMA = 1

Shapes = Mapping[str, Sequence[int]]
"""One profile: ``{"batch": (min, opt, max), "seq": (min, opt, max)}``."""

#: Types that a graph's tensors may have.
PRECISIONS = ("fp32", "fp16")

#: Lengths that single rows get a profile for; the longest the model reads is always one.
LENGTHS = (32, 128)
#: Rows of the profile for many at a time, at most; and of one kernels are chosen for.
LARGEST_BATCH, USUAL_BATCH = 32, 8
#: Most bytes that one output of the largest batch may take: a fill-mask graph gives a megabyte
#: for eight tokens, and device memory is laid out for the largest shape.
_OUTPUT_BYTES = 256 << 20

#: Operators that the parser of TensorRT 10.1 takes in opset 20, which every later one does too
#: (onnx-tensorrt, docs/operators.md). Quantised and control-flow ones are left out.
_OPERATORS = """
Abs Add And ArgMax ArgMin Cast Ceil Clip Concat Constant ConstantOfShape Conv Cos CumSum Div
Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm
Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul Max Mean Min Mod Mul Neg
Not Or PRelu Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round
ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign
Split Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor
"""

OPERATORS = frozenset(_OPERATORS.split())

_NO_FLIGHT = tensorrt_preflight.Flight("not asked for")


def check_options(options: ExportOptions) -> None:
    """Checks what can be checked before a checkpoint is loaded.

    Raises:
        UnknownName: No such route.
        InvalidConfig: An opset or a precision this exporter does not write.
        MissingDependency: A package the route needs is not installed.
    """
    for batch, tokens in options.buckets:
        if min(batch, tokens) < 1:
            raise InvalidConfig(f"a bucket is rows x tokens, 1 or more each, not {batch}x{tokens}")
    if options.precision not in PRECISIONS:
        raise InvalidConfig(
            f"the TensorRT exporter writes {' or '.join(PRECISIONS)}, not {options.precision}"
        )
    base.check_options(_of_base(options))


def default(
    longest: int, outputs: Sequence[TensorSpec], lengths: Sequence[int] = LENGTHS
) -> list[Shapes]:
    """The profiles of a model: one text at a time in some lengths, and many at a time.

    Args:
        longest: Most tokens of a row.
        outputs: Of the graph, each ``[batch, ...]`` or ``[batch, "seq", ...]``.
        lengths: Those that one text gets a profile for, beside the longest.

    Returns:
        Profiles, the smallest first.
    """
    singles = [_profile(1, n) for n in (*(n for n in lengths if n < longest), longest)]
    rows = min(LARGEST_BATCH, _OUTPUT_BYTES // max(_row_bytes(spec, longest) for spec in outputs))
    if rows < 2:
        return singles
    usual = min(128, longest)
    many: Shapes = {"batch": (1, min(USUAL_BATCH, rows), rows), "seq": (1, usual, longest)}
    return [*singles, many]


def export(
    traced: Traced,
    folder: Path,
    options: ExportOptions | None = None,
    *,
    preflight: bool = True,
) -> Exported:
    """Writes ``model.onnx`` and ``profiles.json`` into a folder.

    Args:
        traced: The checkpoint.
        folder: An empty folder.
        options: Precision, route, opset and buckets: a bucket is a profile that takes up to so
            many rows of up to so many tokens; without any, :func:`default`, in lengths that
            suit those of the texts if they are given.
        preflight: Whether NVIDIA's parser and builder look at the graph, where TensorRT-RTX is
            installed; see :mod:`edge_tx.exporters.tensorrt_preflight`.

    Returns:
        What was written; ``checks["preflight"]`` says how the preflight went.

    Raises:
        UnknownName: No such route.
        InvalidConfig: A precision, an opset or a bucket that makes no sense.
        MissingDependency: A package the route needs is not installed.
        ExportFailed: The route failed, or TensorRT does not take the graph.
    """
    options = options or ExportOptions()
    check_options(options)
    chosen = _profiles(traced, options)
    made = base.export(traced, folder, _of_base(options))
    if options.precision == "fp16":
        tensorrt_fp16.convert(made.entry)
    _check_operators(made.entry)
    file = {"schema": SCHEMA, "profiles": [_spans(profile) for profile in chosen]}
    (folder / PROFILES).write_text(json.dumps(file, indent=1) + "\n", encoding="utf-8")
    flight = _NO_FLIGHT
    if preflight:
        flight = tensorrt_preflight.fly(made.entry, folder / PROFILES)
    tools = {**made.tools, "onnxruntime": version("onnxruntime"), **flight.tools}
    checks = {"preflight": flight.outcome}
    return Exported(made.entry, options.precision, made.route, tools, checks)


def _profiles(traced: Traced, options: ExportOptions) -> list[Shapes]:
    longest = traced.policy.max_length
    if options.buckets:
        too_long = [tokens for _, tokens in options.buckets if tokens > longest]
        if too_long:
            raise InvalidConfig(
                f"a bucket has {max(too_long)} tokens and the longest row {longest}: "
                f"give buckets of up to {longest}"
            )
        return [_profile(*bucket) for bucket in options.buckets]
    if options.lengths:
        suited = tflite_buckets.from_lengths(options.lengths, tflite_buckets.MOST, longest)
        return default(longest, traced.outputs, [tokens for _, tokens in suited])
    return default(longest, traced.outputs)


def _of_base(options: ExportOptions) -> ExportOptions:
    return ExportOptions(precision="fp32", route=options.route, opset=options.opset)


def _row_bytes(spec: TensorSpec, longest: int) -> int:
    sizes = (dim if isinstance(dim, int) else longest for dim in spec.shape[1:])
    return prod(sizes) * spec.dtype.numpy.itemsize


def _profile(batch: int, tokens: int) -> Shapes:
    return {"batch": (1, batch, batch), "seq": (1, tokens, tokens)}


def _spans(profile: Shapes) -> dict[str, dict[str, int]]:
    return {
        name: dict(zip(("min", "opt", "max"), span, strict=True)) for name, span in profile.items()
    }


def _check_operators(entry: Path) -> None:
    """Refuses what only some TensorRT of 10.3 to 11.4 would take, or none."""
    import onnx

    graph = onnx.load(entry, load_external_data=False).graph
    unknown = sorted(
        {f"{node.domain}::{node.op_type}".lstrip(":") for node in graph.node if _is_foreign(node)}
    )
    if unknown:
        raise ExportFailed(
            f"TensorRT 10.3 has no operator {', '.join(unknown)}: try another --route or --opset"
        )


def _is_foreign(node: object) -> bool:
    domain, operator = getattr(node, "domain", ""), getattr(node, "op_type", "")
    return domain not in ("", "ai.onnx") or operator not in OPERATORS
