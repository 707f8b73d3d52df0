"""What a graph takes and gives, as its manifest says it; read before numpy is imported."""

import enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge_tx.light import dataclass

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DType", "TensorSpec"]


class DType(enum.Enum):
    """Element types that a graph's input or output may have."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @cached_property  # every call of a session asks for each input's
    def numpy(self) -> "np.dtype[Any]":
        """The numpy dtype of the same name."""
        import numpy as np

        return np.dtype(self.value)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph.

    Attributes:
        name: The name it is fed or read by.
        dtype: Element type.
        shape: Integers are fixed, strings symbolic: ``("batch", "seq", 384)``. The same
            symbol means the same number in every tensor of one call.
    """

    name: str
    dtype: DType
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype.value}[{', '.join(map(str, self.shape))}]"
