"""Int8 and half-precision packages for TensorRT and TensorRT-RTX.

TensorRT's networks are strongly typed: a product runs in int8 where both of its sides come from
a DequantizeLinear, with a scale and no offset. So Q/DQ pairs are symmetric, stand right before
each product that reads them and on its weight; bias, sums and all the rest stay in float.
Its parser refuses ONNX Runtime's own default form (int32 biases, uint8 activations).

Accuracy is measured in ONNX Runtime, which computes what the Q/DQ pairs say.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from edge_tx.backends import resolve
from edge_tx.calibration import onnx as base
from edge_tx.calibration.onnx_graph import Unit
from edge_tx.calibration.onnx_job import FP16, Job, Row, Table, with_qdq
from edge_tx.calibration.onnx_smooth import NORMS_AND_GELU
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.errors import InvalidConfig

__all__ = ["PROXY", "check", "layers", "prove", "quantize"]

#: The backend that graphs are measured in: it runs the same files, without a GPU.
PROXY = "onnx"

_PROFILES = "profiles.json"
_PREFLIGHT = "edge_tx.exporters.tensorrt_preflight:fly"


def check(recipe: Recipe) -> None:
    """Checks that TensorRT takes what a recipe makes.

    Raises:
        InvalidConfig: It does not; says what it takes.
        MissingDependency: A package is not installed.
    """
    _TABLE.check(recipe)


def layers(entry: Path) -> tuple[str, ...]:
    """Units that can be returned to float one by one, in the graph's order.

    Raises:
        ExportFailed: The graph cannot be read.
    """
    return base.layers(entry)


def quantize(work: Work) -> Quantized:
    """Writes ``model.onnx`` and ``profiles.json`` into the work's folder.

    Raises:
        InvalidConfig: TensorRT does not take the recipe, or there are no profiles beside the
            fp32 graph.
        MissingDependency: A package is not installed.
        ExportFailed: The tool failed.
    """
    check(work.recipe)
    profiles = work.entry.parent / _PROFILES
    if not profiles.is_file():
        raise InvalidConfig(
            f"there is no {_PROFILES} beside {work.entry.name}, the shapes that an engine is built "
            "for: export the model with --to tensorrt first"
        )
    made = _TABLE.quantize(work)
    shutil.copyfile(profiles, work.folder / _PROFILES)
    return made


def prove(made: Quantized) -> Quantized:
    """Shows a finished graph to NVIDIA's parser and builder, where TensorRT-RTX is installed.

    Returns:
        The same; ``tools["preflight"]`` says how it went.

    Raises:
        ExportFailed: The parser refuses the graph; lists the nodes.
    """
    # By its dotted name, as every room reaches another.
    flown = resolve(_PREFLIGHT)(made.entry, made.entry.with_name(_PROFILES))
    return replace(made, tools={**made.tools, **flown.tools, "preflight": flown.outcome})


def _static(job: Job, entry: Path) -> tuple[Unit, ...]:
    job.quantize_tables(whole=True)  # int8 constants may only stand before a DequantizeLinear
    job.save(with_qdq(job, DedicatedQDQPair=True), entry)
    return job.units


_TABLE = Table(
    backend="tensorrt",
    rows={
        "static_w8a8": Row(
            run=_static,
            precision="int8",
            route="onnxruntime.quantization, symmetric QDQ",
            defaults={
                "symmetric": True,
                "reduce_range": False,
                "observer": Observer.MSE,
                "smooth": 0.8,
            },
            allowed={"symmetric": (True,), "reduce_range": (False, None)},
            # GELU's output is nearly all positive: without an offset, half of the values are lost.
            smoothed=NORMS_AND_GELU,
        ),
        "fp16": FP16,
    },
    refused={
        "dynamic_w8": "it has no integer product that takes its range from each call",
        "static_w8a16": "it has no 16-bit integers",
        "weight_w8": "it widens int8 weights for int8 activations only",
        "weight_w4": "its 4-bit weights are for half-precision products of large language models",
    },
)
