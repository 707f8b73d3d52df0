"""ONNX models on disk: a small graph, and its weights in a file beside it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.errors import ExportFailed

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["SINGLE_FILE_BYTES", "load", "save", "save_proto"]

#: More weights than this go to a file of their own, as they must above 2 GB. ONNX Runtime maps
#: such a file into memory, where it reads a single one and copies its weights: with it
#: all-MiniLM-L6-v2 opens in 25 ms in the place of 81, and takes 104 MB at the peak in the place
#: of 186.
SINGLE_FILE_BYTES = 1 << 20

#: Of one weight. Smaller ones stay with the graph, where shape inference looks for constants.
_LEAST_BYTES = 1024


def save(model: onnx_ir.Model, path: Path, single_file_bytes: int = SINGLE_FILE_BYTES) -> None:
    """Writes a model: one file, or a second one ``<name>.data`` for its weights.

    They are written one by one, so no other copy of them is held.

    Args:
        model: The graph.
        path: The file.
        single_file_bytes: Weights above this in all go to the second file.
    """
    import onnx_ir

    weights = [v.const_value for v in model.graph.initializers.values() if v.const_value]
    is_large = sum(tensor.nbytes for tensor in weights) > single_file_bytes
    onnx_ir.save(
        model,
        path,
        external_data=_data_name(path) if is_large else None,
        size_threshold_bytes=_LEAST_BYTES,
    )


def save_proto(model: Any, path: Path) -> None:
    """Writes an ``onnx.ModelProto`` as :func:`save` does; its large weights are taken out of it."""
    import onnx

    is_large = sum(len(tensor.raw_data) for tensor in _weights(model)) > SINGLE_FILE_BYTES
    onnx.save(
        model,
        path,
        save_as_external_data=is_large,
        location=_data_name(path),
        size_threshold=_LEAST_BYTES,
    )
    if is_large:  # it is made for its owner alone, whatever the umask says
        path.with_name(_data_name(path)).chmod(stat.S_IMODE(path.stat().st_mode))


def load(path: Path) -> Any:
    """Reads an ``onnx.ModelProto`` with its weights.

    ``onnx.load`` refuses weights whose file has two hard links, as a bundle's have while another
    is made of it, and a package's where an installer keeps one copy of all. What it is afraid of
    are names that lead elsewhere, and so are we.

    Raises:
        ExportFailed: The weights' file is not beside the graph, or too short.
    """
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    model = onnx.load(path, load_external_data=False)
    for tensor in _weights(model):
        if uses_external_data(tensor):
            info = ExternalDataInfo(tensor)
            tensor.raw_data = _read(path.parent, info.location, info.offset or 0, info.length)
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
    return model


def _data_name(path: Path) -> str:
    return f"{path.name}.data"


def _weights(model: Any) -> Any:
    return model.graph.initializer


def _read(folder: Path, name: str, offset: int, length: int | None) -> bytes:
    if name in ("", ".", "..") or Path(name).name != name:
        raise ExportFailed(f"weights in {name!r}, which is not a file beside their graph")
    with (folder / name).open("rb") as file:
        file.seek(offset)
        data = file.read(-1 if length is None else length)
    if length is not None and len(data) != length:
        raise ExportFailed(f"{name} ends before its weights do: export the graph again")
    return data
