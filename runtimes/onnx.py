"""ONNX graphs in ONNX Runtime, on the device that was asked for or not at all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_tx.backends import Placement, SessionConfig
from edge_tx.errors import DeviceUnavailable, SessionFailed
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

__all__ = ["OnnxSession", "open_session"]

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_DTYPES = {
    "tensor(bool)": DType.BOOL,
    "tensor(int8)": DType.INT8,
    "tensor(uint8)": DType.UINT8,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FLOAT16,
    "tensor(float)": DType.FLOAT32,
    "tensor(double)": DType.FLOAT64,
}
# Errors only: ONNX Runtime's warnings go to stderr from native code, past any handler.
_LOG_ERRORS = 3


def open_session(entry: Path, config: SessionConfig) -> OnnxSession:
    """Opens an ONNX graph.

    Raises:
        DeviceUnavailable: This onnxruntime has no provider for the device, or the provider
            did not load; ONNX Runtime itself would run on the CPU without a word.
        SessionFailed: ONNX Runtime refuses the graph.
    """
    import onnxruntime as ort

    device = "cpu" if config.device == "auto" else config.device
    provider = _PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise DeviceUnavailable(
            f"this onnxruntime {ort.__version__} has no {provider} for device '{device}': "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    try:
        native = ort.InferenceSession(
            str(entry),
            _session_options(config),
            providers=_chain(device),
            enable_fallback=0,  # else it would go on with another provider when one fails
        )
    except Exception as exc:  # its exceptions share no base class but this
        raise _failure(f"opening {entry.name}", exc) from exc
    if native.get_providers()[0] != provider:
        raise DeviceUnavailable(
            f"device '{device}' was asked for, but {provider} did not load "
            f"(ONNX Runtime fell back to {native.get_providers()[0]}): "
            "check the driver and CUDA libraries with edge-tx doctor"
        )
    return OnnxSession(native, device, config)


class OnnxSession:
    """An open ONNX graph; see :class:`edge_tx.backends.Session`."""

    def __init__(self, native: Any, device: str, config: SessionConfig) -> None:
        self._native: Any = native
        self._device = device
        self._config = config
        self._lock = threading.Lock()
        self._inputs = tuple(_spec(arg) for arg in native.get_inputs())
        self._outputs = tuple(_spec(arg) for arg in native.get_outputs())
        self._names = [spec.name for spec in self._outputs]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph once; see :meth:`edge_tx.backends.Session.run`."""
        native = self._native
        if native is None:
            raise SessionFailed("the session is closed: open it again")
        ready = check_feeds(self._inputs, feeds)
        try:
            arrays = native.run(self._names, ready)
        except Exception as exc:  # as above
            raise _failure("running the graph", exc) from exc
        return dict(zip(self._names, arrays, strict=True))

    def placement(self) -> Placement:
        """Says which execution provider runs the graph."""
        if self._native is None:
            raise SessionFailed("the session is closed: open it again")
        import onnxruntime as ort

        return Placement(
            backend="onnx",
            device=self._device,
            provider=self._native.get_providers()[0],
            threads=self._native.get_session_options().intra_op_num_threads,
            streams=self._config.streams,
            runtime=f"onnxruntime {ort.__version__}",
        )

    def close(self) -> None:
        """Lets go of the graph; calls under way finish first, as they hold it too."""
        with self._lock:
            self._native = None


def _session_options(config: SessionConfig) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_ERRORS
    for key, value in config.options:
        options.add_session_config_entry(key, value)
    return options


def _chain(device: str) -> list[str]:
    """The provider asked for, then those that take the nodes it cannot run itself."""
    order = {"cpu": ["cpu"], "cuda": ["cuda", "cpu"], "tensorrt": ["tensorrt", "cuda", "cpu"]}
    return [_PROVIDERS[name] for name in order[device]]


def _spec(arg: Any) -> TensorSpec:
    if arg.type not in _DTYPES:
        raise SessionFailed(f"'{arg.name}' has type {arg.type}, which edge_tx cannot feed or read")
    shape = tuple(
        dim if isinstance(dim, (int, str)) else f"{arg.name}_{axis}"
        for axis, dim in enumerate(arg.shape)
    )
    return TensorSpec(arg.name, _DTYPES[arg.type], shape)


def _failure(doing: str, exc: Exception) -> SessionFailed:
    """What ONNX Runtime raised, in one line of ours."""
    line = " ".join(str(exc).split())
    return SessionFailed(f"ONNX Runtime failed while {doing}: {line[:300]}")
