"""What the doctor knows of packages: which get in each other's way, and what fits what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CLASHES", "PAIRS", "PROVIDERS", "RELEASES", "Clash", "Pair", "Provider", "Release"]

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Clash:
    """Two packages that should not be installed together.

    Attributes:
        one: A distribution.
        other: Another one.
        level: How bad that is.
        what: What happens.
        remedy: What to do.
        least: The clash begins with this version of the other one; empty for every version.
    """

    one: str
    other: str
    level: Level
    what: str
    remedy: str
    least: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two packages of one release: their versions must be equal."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a backend's runtime and what it fits.

    Attributes:
        backend: Name of the row.
        version: First numbers of the release.
        fits: Where it runs, in words.
        l4t: First numbers of the Jetson driver package that brings it; empty if none does.
    """

    backend: str
    version: str
    fits: str
    l4t: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider of ONNX Runtime that needs a vendor's accelerator."""

    name: str
    vendor: str
    device: str
    install: str


CLASHES = (
    Clash(
        "tflite-runtime", "numpy", "error",
        "tflite-runtime was built for numpy 1 and fails to load with numpy 2",
        "pip install 'numpy<2', or pip install ai-edge-litert in its place",
        least="2",
    ),
    Clash(
        "ai-edge-litert", "tflite-runtime", "note",
        "ai-edge-litert and tflite-runtime are both installed: ai-edge-litert runs TFLite graphs",
        "pip uninstall tflite-runtime saves its space",
    ),
    Clash(
        "tensorrt", "tensorrt-rtx", "note",
        "TensorRT and TensorRT-RTX are both installed: neither opens an engine of the other",
        "build each backend's graphs for itself with edge-tx build",
    ),
    Clash(
        "onnxruntime-openvino", "openvino", "warning",
        "onnxruntime-openvino brings libraries of OpenVINO's own, beside those of openvino",
        "keep one of the two, or see that both are of the same OpenVINO release",
    ),
    Clash(
        "openvino", "openvino-dev", "warning",
        "openvino-dev ended with 2024 and holds openvino back or breaks it",
        "pip uninstall openvino-dev",
    ),
)  # fmt: skip

PAIRS = tuple(
    Pair(f"{name}-bindings", f"{name}-libs")
    for name in (
        "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13",
    )
)  # fmt: skip

# NVIDIA's release notes: https://docs.nvidia.com/deeplearning/tensorrt/ and /jetson/jetpack/
RELEASES = (
    Release("tensorrt", "10.3", "Jetson with JetPack 6.1 or 6.2, Python 3.10", l4t="36.4"),
    Release("tensorrt", "10.16", "Jetson with JetPack 7.2"),
    Release("tensorrt", "11.4", "PCs and servers with an NVIDIA GPU"),
    Release("tensorrt_rtx", "1.7", "RTX PCs, compute capability 7.5 and up"),
)

PROVIDERS = (
    Provider(
        "CUDAExecutionProvider", "NVIDIA", "cuda",
        "pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    ),
)  # fmt: skip
