"""The fp16 variant of an ONNX graph, for runtimes where the graph alone says the precision.

ONNX Runtime's converter moves weights and operators to fp16. What sums or squares many numbers
stays in fp32, between casts: an fp16 number ends at 65504, the square of 256, and LayerNorm's
Pow gives NaN there (NVIDIA/TensorRT#1196).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_tx.errors import ExportFailed
from edge_tx.exporters import onnx_file

__all__ = ["FP32_OPERATORS", "convert"]

#: Operators that stay in fp32: normalisation, whole or taken apart, softmax, and every sum,
#: mean or norm over tokens or features.
FP32_OPERATORS = (
    "LayerNormalization",
    "LogSoftmax",
    "LpNormalization",
    "Pow",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceSum",
    "ReduceSumSquare",
    "Reciprocal",
    "Softmax",
    "Sqrt",
)

#: A masked score is the smallest fp32 number; as the smallest fp16 number it would overflow to
#: minus infinity with the next addition. exp(-10,000) is 0 in either type.
_LARGEST = 10_000.0


def convert(entry: Path, keep: Sequence[str] = ()) -> None:
    """Rewrites a graph in place; inputs and outputs keep their types.

    Args:
        entry: The ``.onnx`` file; weights in a file beside it are moved in, or written anew.
        keep: Names of more nodes that stay in fp32.

    Raises:
        ExportFailed: The converter fails, or what it gives is not a valid graph.
    """
    import onnx_ir
    from onnx_ir.passes.common import CheckerPass, TopologicalSortPass
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        original = onnx_file.load(entry)
        converted = convert_float_to_float16(
            original,
            keep_io_types=True,
            op_block_list=list(FP32_OPERATORS),
            node_block_list=[*_index_arithmetic(original), *keep],
            max_finite_val=_LARGEST,
        )
        converted.graph.ClearField("value_info")  # some of it still says fp32
        model = onnx_ir.from_proto(converted)
        TopologicalSortPass()(model)  # the casts were put at the end
        CheckerPass(full_check=True)(model)
    except ExportFailed:
        raise
    except Exception as exc:  # the converter raises AssertionError, ValueError, KeyError...
        line = " ".join(str(exc).split())
        raise ExportFailed(f"cannot convert {entry.name} to fp16: {line[:300]}") from exc
    for old in entry.parent.glob(f"{entry.name}.data"):
        old.unlink()
    onnx_file.save(model, entry)


def _index_arithmetic(model: Any) -> list[str]:
    """Names of all nodes that a number rounded to an index comes from.

    Relative positions go through a logarithm to a bucket's number; in fp16 half of them land in
    the neighbouring bucket.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    float32 = onnx.TensorProto.FLOAT
    floats = {v.name for v in inferred.value_info if v.type.tensor_type.elem_type == float32}
    makers = {name: node for node in model.graph.node for name in node.output}
    casts = (node for node in model.graph.node if node.op_type == "Cast")
    todo = [n for n in casts if n.input[0] in floats and _is_whole(n.attribute[0].i)]
    found: dict[str, None] = {}
    while todo:
        node = todo.pop()
        if node.name not in found:
            found[node.name] = None
            todo += [makers[name] for name in node.input if name in makers]
    return list(found)


def _is_whole(elem_type: int) -> bool:
    import onnx

    return elem_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
