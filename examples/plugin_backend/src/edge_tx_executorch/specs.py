"""Names, types and shapes of a graph, as text that travels in the ``.pte`` file.

A ``.pte`` file numbers its inputs and outputs and knows their largest sizes. Names, and which
axis is which, go into it as a method that returns a constant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from edge_tx.tensors import DType, TensorSpec

__all__ = ["METHOD", "dumps", "loads"]

#: Name of the method that returns the text.
METHOD = "edge_tx_specs"


def dumps(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str:
    """Specs to text."""
    return json.dumps(
        [[[s.name, s.dtype.value, s.shape] for s in side] for side in (inputs, outputs)]
    )


def loads(text: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Text to specs of the inputs and of the outputs.

    Raises:
        ValueError, TypeError: It is not such a text.
    """
    inputs, outputs = (
        tuple(TensorSpec(name, DType(dtype), tuple(shape)) for name, dtype, shape in side)
        for side in json.loads(text)
    )
    return inputs, outputs
