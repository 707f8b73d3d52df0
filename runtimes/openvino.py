"""OpenVINO graphs, on the device that was asked for or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_tx.backends import Placement, SessionConfig
from edge_tx.errors import DeviceUnavailable, FeedMismatch, SessionFailed
from edge_tx.telemetry import no_openvino_telemetry
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

__all__ = ["OpenVinoSession", "open_session"]

_CLOSED = "the session is closed: open it again"


@dataclass(frozen=True, slots=True)
class _Device:
    """What a device of ours is to OpenVINO.

    Attributes:
        plugin: OpenVINO's name; with several of a kind it lists ``GPU.0``, ``GPU.1``...
        properties: How a graph is compiled for it.
        on_cpu: Whether the config's threads and streams are CPU threads of this device.
    """

    plugin: str
    properties: Callable[[SessionConfig], dict[str, Any]]
    on_cpu: bool = False


def _for_npu(config: SessionConfig) -> dict[str, Any]:
    # It has a precision of its own, and lays out its streams by the hint.
    return {"PERFORMANCE_HINT": "LATENCY" if config.streams == 1 else "THROUGHPUT"}


def _for_gpu(config: SessionConfig) -> dict[str, Any]:
    return {
        **_for_npu(config),
        "NUM_STREAMS": config.streams,
        # What the parity gate has proven. A CPU with bfloat16 or AMX units, and any GPU, would
        # round to 8 or 11 bits unasked. Halved weights are widened when the graph is compiled.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def _for_cpu(config: SessionConfig) -> dict[str, Any]:
    return {
        **_for_gpu(config),
        # Of all streams together.
        "INFERENCE_NUM_THREADS": config.threads * config.streams,
        # Pinned threads of two sessions, or of two processes, all sit on the first cores.
        "ENABLE_CPU_PINNING": False,
        # Lets a number above the physical cores be had by who asks for it; who does not gets
        # the physical cores from edge_tx.device.
        "ENABLE_HYPER_THREADING": True,
    }


_DEVICES: Mapping[str, _Device] = {
    "cpu": _Device("CPU", _for_cpu, on_cpu=True),
    "gpu": _Device("GPU", _for_gpu),
    "npu": _Device("NPU", _for_npu),
}

_DTYPES = {
    "boolean": DType.BOOL,
    "i8": DType.INT8,
    "u8": DType.UINT8,
    "i32": DType.INT32,
    "i64": DType.INT64,
    "f16": DType.FLOAT16,
    "f32": DType.FLOAT32,
    "f64": DType.FLOAT64,
}

# How OpenVINO writes names of axes: upper case, "batch" as N, an unnamed one as a question mark.
_AXES = {"N": "batch", "?": ""}


def open_session(entry: Path, config: SessionConfig) -> OpenVinoSession:
    """Opens an OpenVINO graph.

    Options are OpenVINO's own properties by name, over ours: ``CACHE_DIR`` keeps the compiled
    graph in a folder and makes the next opening quicker.

    Raises:
        DeviceUnavailable: OpenVINO sees no such device here.
        SessionFailed: OpenVINO refuses the graph or an option.
    """
    with no_openvino_telemetry():
        import openvino as ov

    name = "cpu" if config.device == "auto" else config.device
    device = _DEVICES[name]
    core = ov.Core()
    seen = core.available_devices
    if not any(d.partition(".")[0] == device.plugin for d in seen):
        raise DeviceUnavailable(
            f"device '{name}' was asked for, but OpenVINO sees only {', '.join(seen) or 'none'}: "
            f"check the driver of the {device.plugin} with edge-tx doctor"
        )
    properties = {**device.properties(config), **dict(config.options)}
    with _mapped(f"opening {entry.name}"):
        # By path: a graph that CACHE_DIR holds is then not read, which saves mapping its weights.
        return OpenVinoSession(core.compile_model(entry, device.plugin, properties), name, config)


class OpenVinoSession:
    """An open OpenVINO graph; see :class:`edge_tx.backends.Session`."""

    def __init__(self, compiled: Any, device: str, config: SessionConfig) -> None:
        self._pool: _Pool | None = _Pool(compiled, config.streams)
        self._device = device
        self._config = config
        self._inputs = tuple(_spec(port) for port in compiled.inputs)
        self._outputs = tuple(_spec(port) for port in compiled.outputs)
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
        pool = self._pool
        if pool is None:
            raise SessionFailed(_CLOSED)
        ready = check_feeds(self._inputs, feeds)
        with _mapped("running the graph"):
            request = pool.take()
            # Read where they lie, so ``arrays`` must outlive the call; OpenVINO refuses to share
            # what is read-only. What comes back is a copy of the request's own memory.
            arrays = [a if a.flags.writeable else a.copy() for a in ready.values()]
            for index, array in enumerate(arrays):
                request.set_input_tensor(index, pool.wrap(array, shared_memory=True))
            results = request.infer()
        # A request whose run failed is not given back: its state is unknown.
        pool.give(request)
        return dict(zip(self._names, results.values(), strict=True))

    def placement(self) -> Placement:
        """Says what executes, in which precision, as OpenVINO reports it."""
        if self._pool is None:
            raise SessionFailed(_CLOSED)
        import openvino as ov

        told = self._pool.compiled.get_property
        on_cpu = _DEVICES[self._device].on_cpu
        streams = told("NUM_STREAMS") if on_cpu else self._config.streams
        precision = told("INFERENCE_PRECISION_HINT").to_string()
        return Placement(
            backend="openvino",
            device=self._device,
            provider=f"{'+'.join(told('EXECUTION_DEVICES'))} {precision}",
            threads=told("INFERENCE_NUM_THREADS") // streams if on_cpu else 1,
            streams=streams,
            runtime=f"openvino {ov.__version__.partition('-')[0]}",
        )

    def close(self) -> None:
        """Lets go of the graph; calls under way finish first, as they hold it too."""
        self._pool = None


class _Pool:
    """Inference requests of a compiled graph: each serves one call at a time.

    It starts with one per stream and grows with the calls that are made at the same time. The
    one used last is taken first: its memory is warm and has the size of the last batch.
    """

    def __init__(self, compiled: Any, size: int) -> None:
        import openvino as ov

        self.compiled = compiled
        self.wrap = ov.Tensor
        # append and pop of a deque are atomic: no lock on the way of every call.
        self._idle = deque(compiled.create_infer_request() for _ in range(size))

    def take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self.compiled.create_infer_request()

    def give(self, request: Any) -> None:
        self._idle.append(request)


def _spec(port: Any) -> TensorSpec:
    name = port.get_any_name()
    kind = port.get_element_type().to_string()
    if kind not in _DTYPES:
        raise SessionFailed(f"'{name}' has type {kind}, which edge_tx cannot feed or read")
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        raise SessionFailed(f"'{name}' has no fixed number of dimensions")
    symbols = _symbols(port, len(shape))
    dims = [dim.get_length() if dim.is_static else s for dim, s in zip(shape, symbols, strict=True)]
    return TensorSpec(name, _DTYPES[kind], tuple(dims))


def _symbols(port: Any, rank: int) -> list[str]:
    """Names of the axes: those of the layout our exporter writes, else numbered ones."""
    import openvino as ov

    layout = ov.layout_helpers.get_layout(port)
    axes = [] if layout.empty else layout.to_string().strip("[]").split(",")
    numbered = [f"{port.get_any_name()}_{axis}" for axis in range(rank)]
    if len(axes) != rank:
        return numbered
    return [_AXES.get(a, a.lower()) or n for a, n in zip(axes, numbered, strict=True)]


@contextmanager
def _mapped(doing: str) -> Iterator[None]:
    """Turns whatever OpenVINO raises into one line of ours."""
    try:
        yield
    except (FeedMismatch, SessionFailed):
        raise
    except Exception as exc:  # RuntimeError mostly, with the C++ source line in front
        line = " ".join(str(exc).split())
        raise SessionFailed(f"OpenVINO failed while {doing}: {line[:300]}") from exc
