"""Writes an ONNX model to disk without another copy of its weights in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["SINGLE_FILE_BYTES", "save"]

#: A protobuf message must stay below 2 GiB; the rest is room for the graph itself.
SINGLE_FILE_BYTES = 2_000_000_000

#: Weights above this many bytes are streamed; smaller ones go through protobuf, which keeps
#: constants where shape inference looks for them.
_STREAMED = 1024

# Field numbers of onnx.proto, with wire type 2 (length-delimited).
_MODEL_GRAPH = 7 << 3 | 2
_GRAPH_INITIALIZER = 5 << 3 | 2
_TENSOR_RAW_DATA = 9 << 3 | 2


def save(model: onnx_ir.Model, path: Path, single_file_bytes: int = SINGLE_FILE_BYTES) -> None:
    """Writes a model: one file, or a second one ``<name>.data`` for weights too large for that.

    Args:
        model: The graph. Its large weights are taken out of it.
        path: The file.
        single_file_bytes: Weights above this in all go to the second file.
    """
    import onnx_ir

    weights = [v.const_value for v in model.graph.initializers.values() if v.const_value]
    if sum(tensor.nbytes for tensor in weights) > single_file_bytes:
        onnx_ir.save(model, path, external_data=f"{path.name}.data")
    else:
        _save_single(model, path)


def _save_single(model: onnx_ir.Model, path: Path) -> None:
    """Streams the weights into the file's one graph message.

    ``SerializeToString`` would hold the weights twice more. A message is its fields one after
    the other, in any order, so the graph is written without large weights and they follow it;
    only its length must be known before. See https://protobuf.dev/programming-guides/encoding.
    """
    import onnx_ir

    weights = _take_weights(model)
    proto = onnx_ir.to_proto(model)
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    heads = [_tensor_head(name, tensor) for name, tensor in weights.items()]
    size = len(graph) + sum(
        len(head) + tensor.nbytes for head, tensor in zip(heads, weights.values(), strict=True)
    )
    with path.open("wb") as file:
        file.write(proto.SerializeToString())
        file.write(bytes([_MODEL_GRAPH]) + _varint(size))
        file.write(graph)
        for head, tensor in zip(heads, weights.values(), strict=True):
            file.write(head)
            _write_raw(tensor, file)


def _take_weights(model: onnx_ir.Model) -> dict[str, Any]:
    initializers = model.graph.initializers
    weights = {name: value.const_value for name, value in initializers.items()}
    large = {n: w for n, w in weights.items() if w is not None and w.nbytes > _STREAMED}
    for name in large:
        initializers.pop(name)
    return large


def _tensor_head(name: str, tensor: Any) -> bytes:
    """All of an ``initializer`` field up to where its raw bytes begin."""
    import onnx

    fields = onnx.TensorProto(name=name, dims=tensor.shape.numpy(), data_type=int(tensor.dtype))
    start: bytes = fields.SerializeToString()
    start += bytes([_TENSOR_RAW_DATA]) + _varint(tensor.nbytes)
    return bytes([_GRAPH_INITIALIZER]) + _varint(len(start) + tensor.nbytes) + start


def _write_raw(tensor: Any, file: BinaryIO) -> None:
    if hasattr(tensor, "tofile"):
        tensor.tofile(file)
    else:
        file.write(tensor.tobytes())


def _varint(value: int) -> bytes:
    """Base-128, low bits first, with the high bit set on all bytes but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
