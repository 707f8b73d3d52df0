"""What each vendor's library sees on this machine, for ``edge-tx doctor``.

Run one to a process by :mod:`edge_tx.probing`: a library may crash as it loads.
"""

from __future__ import annotations

import importlib

from edge_tx.backends import find
from edge_tx.errors import DeviceUnavailable
from edge_tx.vendors import import_vendor

__all__ = ["onnx", "openvino", "tensorrt", "tensorrt_rtx", "tflite"]


def onnx() -> list[str]:
    """Execution providers that this onnxruntime was built with; not all need find a device."""
    import onnxruntime as ort

    return list(ort.get_available_providers())


def openvino() -> list[str]:
    """Devices with their names."""
    ov = import_vendor(find("openvino"))
    core = ov.Core()
    return [f"{d}: {core.get_property(d, 'FULL_DEVICE_NAME')}" for d in core.available_devices]


def tflite() -> list[str]:
    """The CPU, once the interpreter's native part has loaded."""
    from edge_tx.runtimes.tflite_runner import RUNTIMES

    runtime = RUNTIMES[find("tflite").module or "ai_edge_litert"]
    importlib.import_module(runtime.module)
    return ["CPU: XNNPACK"]


def tensorrt() -> list[str]:
    """The GPU, as the driver names it."""
    return _gpu("tensorrt")


def tensorrt_rtx() -> list[str]:
    """The GPU, as the driver names it."""
    return _gpu("tensorrt_rtx")


def _gpu(backend: str) -> list[str]:
    from edge_tx.runtimes import tensorrt_api
    from edge_tx.runtimes.cuda import Cuda

    tensorrt_api.load(find(backend))
    try:
        cuda = Cuda.open()
    except DeviceUnavailable:
        return ["no GPU: engines cannot run here"]
    try:
        gpu = cuda.gpu()
    finally:
        cuda.close()
    major, minor = divmod(gpu.compute_capability, 10)
    return [f"{gpu.name} (compute capability {major}.{minor}, driver for CUDA {gpu.driver})"]
