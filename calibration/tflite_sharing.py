"""Writes scales once that several signatures use.

A quantised tensor carries its scales with it: for each row of a token embedding a scale and a
zero point, 12 bytes. Signatures share the weight but not its tensor, so that four signatures of
all-MiniLM-L6-v2 would hold 1.5 MB of the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["share_scales"]


class _Once:
    """An object of the schema that is written by the first who needs it, and then pointed to."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._offset: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802 - flatbuffers calls it by this name
        if self._offset is None:
            self._offset = int(self._table.Pack(builder))
        return self._offset


def share_scales(content: bytes) -> bytes:
    """Rewrites a TFLite file so that equal scales stand in it once.

    Args:
        content: The file's contents.

    Returns:
        Those of a file with the same answers.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    written: dict[tuple[bytes, bytes, int], _Once] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            scales = tensor.quantization
            if scales is None or scales.scale is None or scales.details is not None:
                continue
            key = (
                np.asarray(scales.scale).tobytes(),
                np.asarray(scales.zeroPoint).tobytes(),
                int(scales.quantizedDimension),
            )
            tensor.quantization = written.setdefault(key, _Once(scales))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
