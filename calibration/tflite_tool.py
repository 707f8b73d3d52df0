"""What ai-edge-quantizer is told: how the numbers of a layer are stored and computed with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.tflite_sharing import share_scales

__all__ = ["BLOCKS", "DYNAMIC", "HALF", "STATIC", "TABLE", "WEIGHTS", "Scheme", "rounded"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to store and compute.

    Attributes:
        config: Called with the recipe; gives ai-edge-quantizer's configuration of an operator.
        algorithm: Its name there.
    """

    config: Callable[[Recipe], Any]
    algorithm: str = "min_max_uniform_quantize"


def rounded(
    content: bytes,
    schemes: Mapping[str, Scheme],
    recipe: Recipe,
    statistics: Mapping[str, Any] | None = None,
) -> bytes:
    """Quantises a file.

    Args:
        content: The file's contents.
        schemes: By the label in front of what an operator writes.
        recipe: Read by the schemes.
        statistics: Range of each activation by tensor, for static schemes.

    Returns:
        The new file's contents.
    """
    from ai_edge_quantizer.quantizer import Quantizer

    tool = Quantizer(content)
    for label, scheme in schemes.items():
        tool.update_quantization_recipe(
            f"^{label}/", "*", scheme.config(recipe), algorithm_key=scheme.algorithm
        )
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        result = tool.quantize(
            dict(statistics) if statistics else None,
            enable_progress_bar=False,
            enable_progress_report=False,
        )
    return share_scales(bytes(result.quantized_model))


def _weight(bits: int, granularity: str) -> Any:
    from ai_edge_quantizer import qtyping

    return qtyping.TensorQuantizationConfig(
        num_bits=bits, symmetric=True, granularity=qtyping.QuantGranularity(granularity)
    )


def _granularity(recipe: Recipe) -> str:
    return "CHANNELWISE" if recipe.per_channel else "TENSORWISE"


def _static(recipe: Recipe) -> Any:
    from ai_edge_quantizer import qtyping

    bits = recipe.activation_bits
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=bits,
            symmetric=recipe.symmetric or bits == 16,  # kernels of 16 bits take no zero point
            granularity=qtyping.QuantGranularity.TENSORWISE,
        ),
        weight_tensor_config=_weight(8, _granularity(recipe)),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def _computed_in_int8(bits: int, granularity: str) -> Any:
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        weight_tensor_config=_weight(bits, granularity),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def _widened(weight: Any) -> Any:
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        weight_tensor_config=weight,
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )


def _half(recipe: Recipe) -> Any:
    from ai_edge_quantizer import qtyping

    dtype = qtyping.TensorDataType.FLOAT
    return _widened(qtyping.TensorQuantizationConfig(num_bits=16, dtype=dtype))


#: Weights and activations in integers, whose ranges are known.
STATIC = Scheme(_static)
#: Integer weights; activations rounded row by row as they come.
DYNAMIC = Scheme(lambda recipe: _computed_in_int8(8, _granularity(recipe)))
#: The same, with 4-bit weights in blocks of one scale.
BLOCKS = Scheme(lambda recipe: _computed_in_int8(4, f"BLOCKWISE_{recipe.block}"))
#: Integer weights, widened to float when the graph is opened.
WEIGHTS = Scheme(lambda recipe: _widened(_weight(8, _granularity(recipe))))
#: A table in integers, of which the rows looked up are widened.
TABLE = Scheme(lambda recipe: _computed_in_int8(8, "CHANNELWISE"))
#: Weights in half precision, widened to float when the graph is opened.
HALF = Scheme(_half, "float_casting")
