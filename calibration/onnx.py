"""Int8, int4 and half-precision graphs for ONNX Runtime, by its own tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_tx.calibration.onnx_graph import Graph, Unit
from edge_tx.calibration.onnx_job import FP16, TOOL, Job, Row, Table, with_qdq
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.calibration.vendor_tool import mapped

__all__ = ["WEIGHT_BLOCK", "check", "layers", "quantize"]

#: Weights that share a scale in the 8-bit weight-only recipe. With 32 of them the scales alone
#: are a ninth of the weights, and no answer of a measured model is better.
WEIGHT_BLOCK = 128

# MatMulNBits' accuracy level at which what it multiplies is quantised block by block as well.
_INT8_PRODUCTS = 4


def check(recipe: Recipe) -> None:
    """Checks that ONNX Runtime can do a recipe.

    Raises:
        InvalidConfig: It cannot; says what it can.
        MissingDependency: The onnx package is not installed.
    """
    _TABLE.check(recipe)


def layers(entry: Path) -> tuple[str, ...]:
    """Units that can be returned to float one by one, in the graph's order.

    Raises:
        ExportFailed: The graph cannot be read.
    """
    with mapped(TOOL, f"reading {entry.name}"):
        return tuple(unit.name for unit in Graph(entry).units)


def quantize(work: Work) -> Quantized:
    """Writes ``model.onnx`` into the work's folder.

    Raises:
        InvalidConfig: ONNX Runtime cannot do the recipe, or it leaves every layer in float.
        MissingDependency: The onnx package is not installed.
        ExportFailed: ONNX Runtime's tool failed.
    """
    return _TABLE.quantize(work)


def _dynamic(job: Job, entry: Path) -> tuple[Unit, ...]:
    """Products in integers; what they read is quantised in each call, as uint8 with an offset."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.quant_utils import QuantizationMode

    if job.recipe.smooth is not None:
        job.smooth()
    job.quantize_tables()
    tool = ONNXQuantizer(
        job.graph.model,
        job.recipe.per_channel,
        job.reduce_range,
        QuantizationMode.IntegerOps,
        False,  # not static
        QuantType.QInt8,
        QuantType.QUInt8,
        None,
        [],
        job.left_alone,
        ["MatMul"],
        {"MatMulConstBOnly": True},
    )
    tool.quantize_model()
    job.save(tool.model.model, entry)
    return job.units


def _static(job: Job, entry: Path) -> tuple[Unit, ...]:
    """Products in integers between Q and DQ; all else, and what products give, in float."""
    job.quantize_tables()
    job.save(with_qdq(job), entry)
    return job.units


def _weights(job: Job, entry: Path) -> tuple[Unit, ...]:
    """Products whose weights are widened block by block, as they are used."""
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    recipe = job.recipe
    job.quantize_tables()
    tool = MatMulNBitsQuantizer(
        job.graph.model,
        nodes_to_exclude=job.left_alone,
        algo_config=DefaultWeightOnlyQuantConfig(
            block_size=recipe.block if recipe.weight_bits == 4 else WEIGHT_BLOCK,
            is_symmetric=True,
            accuracy_level=_INT8_PRODUCTS,
            bits=recipe.weight_bits,
        ),
    )
    tool.process()
    job.save(tool.model.model, entry)
    return job.units


_TABLE = Table(
    backend="onnx",
    rows={
        "dynamic_w8": Row(
            run=_dynamic,
            precision="int8",
            route="onnxruntime.quantization, integer operators",
            defaults={"smooth": 0.5},
            allowed={"symmetric": (False,)},
        ),
        "static_w8a8": Row(
            run=_static,
            precision="int8",
            route="onnxruntime.quantization, QDQ",
            defaults={"smooth": 0.5, "observer": Observer.MSE},
        ),
        "weight_w8": Row(
            run=_weights,
            precision="int8",
            route="onnxruntime.quantization, MatMulNBits",
            allowed={"per_channel": (True,)},
        ),
        "weight_w4": Row(
            run=_weights,
            precision="int4",
            route="onnxruntime.quantization, MatMulNBits",
            allowed={"per_channel": (True,)},
        ),
        "fp16": replace(
            FP16, notes=("ONNX Runtime computes fp16 on GPUs; a CPU widens it and is slower",)
        ),
    },
    refused={"static_w8a16": "its CPU kernels know no 16-bit activations"},
)
