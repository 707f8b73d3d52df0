"""The backends: one row each, imported on first use.

A backend is added by a row here, or by another package through the entry-point group
``edge_tx.backends`` (an entry point that loads to a :class:`Backend`). Nothing else in
edge_tx asks for a backend's name.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from edge_tx.errors import InvalidConfig, MissingDependency, UnknownName
from edge_tx.light import dataclass

if TYPE_CHECKING:
    from edge_tx.specs import TensorSpec
    from edge_tx.tensors import Array

__all__ = [
    "Backend",
    "Placement",
    "Session",
    "SessionConfig",
    "available",
    "find",
    "in_order",
    "known",
    "open_session",
    "resolve",
]

ENTRY_POINT_GROUP = "edge_tx.backends"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session runs, as the vendor's runtime reports it after opening.

    Attributes:
        backend: Name of the backend row.
        device: What the session was opened on, e.g. ``"cpu"`` or ``"cuda"``.
        provider: The vendor's own name for what executes, e.g. ``"CPUExecutionProvider"``.
        threads: Intra-op CPU threads the session uses for one call.
        streams: Calls it is laid out to run at the same time.
        runtime: Vendor runtime and version, e.g. ``"onnxruntime 1.32.0"``.
    """

    backend: str
    device: str
    provider: str
    threads: int
    streams: int
    runtime: str


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """How to open a graph.

    Attributes:
        device: A device of the backend's row, or ``"auto"`` for the row's first.
        threads: CPU threads of one call.
        streams: Calls that will be made at the same time from different threads; a session
            must be safe for more, but may lay itself out for this many.
        options: The vendor's own settings, passed through as they are.
    """

    device: str = "auto"
    threads: int = 1
    streams: int = 1
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("threads", "streams"):
            if getattr(self, name) < 1:
                raise InvalidConfig(f"{name} must be 1 or more, not {getattr(self, name)}")


class Session(Protocol):
    """An open graph. Safe to share between threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph once.

        Args:
            feeds: Arrays by input name; checked by :func:`edge_tx.tensors.check_feeds`.

        Returns:
            Arrays by output name, owned by the caller.

        Raises:
            FeedMismatch: The arrays do not fit.
            SessionFailed: The vendor's runtime failed, or the session is closed.
        """

    def placement(self) -> Placement:
        """Says what ran where, as read back from the vendor's runtime."""

    def close(self) -> None:
        """Frees the graph. Closing twice is allowed; running afterwards is an error."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One row of the table of backends.

    Attributes:
        name: What users write: ``--to onnx``, ``backend="onnx"``.
        title: What reports print.
        modules: Vendor modules that can run it, the preferred one first.
        install: The command that installs one of them.
        suffixes: Endings of a graph's entry file.
        devices: Devices it can be asked for, the default first.
        precisions: Precisions a graph of it may have.
        exports: Those that its exporter writes; the others are made from them by quantising.
        dynamic_shapes: Whether one graph takes every batch and sequence length.
        session: ``"module:function"`` called as ``(entry: Path, config) -> Session``.
        exporter: ``"module:function"``, see :mod:`edge_tx.exporters`; empty if it has none.
        quantizer: ``"module:function"``, see :mod:`edge_tx.calibration`; empty if it has none.
        builder: ``"module:function"`` called as ``(bundle, graph, options) -> Built``, for
            graphs that are built on the device before they run; empty if they run as they are.
        probe: ``"module:function"``, called without arguments: what the vendor's library sees
            here, one text for each device. Run in a process of its own (:mod:`edge_tx.probing`),
            as a driver that does not fit may crash it; empty if there is nothing to ask.
        obstacle: ``"module:function"`` called as ``(row, entry, config) -> EdgeTxError | None``:
            why a graph cannot be opened here although the vendor's module is installed; empty
            if nothing but the module is needed.
        proven_by: Backend in whose CPU session the exporter's graph is held against the
            reference, where its own runs only what is built on the device; empty for its own.
        takes: What its exporter takes beside a precision, by name of the option: ``"route"``,
            ``"opset"``, ``"buckets"``.
        unwanted: Modules that the vendor's own imports and that must stay out: they report to
            its maker.
        hidden: Whether it is left out of what users are shown.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    install: str
    suffixes: tuple[str, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    dynamic_shapes: bool
    session: str
    exporter: str = ""
    exports: tuple[str, ...] = ("fp32",)
    quantizer: str = ""
    builder: str = ""
    probe: str = ""
    obstacle: str = ""
    proven_by: str = ""
    takes: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def module(self) -> str | None:
        """The preferred vendor module that is installed, or None."""
        return next((m for m in self.modules if _is_installed(m)), None)

    def absent(self, purpose: str) -> MissingDependency:
        """The error that says what to install.

        Args:
            purpose: What it is needed for, in words.
        """
        return MissingDependency(self.modules[0], purpose, self.install)

    def check_device(self, config: SessionConfig) -> None:
        """Checks that a session can be asked for the device.

        Raises:
            UnknownName: It has no such device.
        """
        if config.device != "auto" and config.device not in self.devices:
            raise UnknownName(f"device of {self.name}", config.device, self.devices)


_BUILT_IN = (
    Backend(
        name="onnx",
        title="ONNX Runtime",
        modules=("onnxruntime",),
        install="pip install onnxruntime",
        suffixes=(".onnx",),
        devices=("cpu", "cuda", "tensorrt"),
        precisions=("fp32", "fp16", "int8", "int4"),
        dynamic_shapes=True,
        session="edge_tx.runtimes.onnx:open_session",
        exporter="edge_tx.exporters.onnx:export",
        quantizer="edge_tx.calibration.onnx:quantize",
        probe="edge_tx.runtimes.probes:onnx",
        takes=("route", "opset"),
    ),
    Backend(
        name="openvino",
        title="OpenVINO",
        modules=("openvino",),
        install="pip install openvino",
        suffixes=(".xml",),
        devices=("cpu", "gpu", "npu"),
        precisions=("fp32", "fp16", "int8", "int4"),
        dynamic_shapes=True,
        session="edge_tx.runtimes.openvino:open_session",
        exporter="edge_tx.exporters.openvino:export",
        exports=("fp32", "fp16"),
        quantizer="edge_tx.calibration.openvino:quantize",
        probe="edge_tx.runtimes.probes:openvino",
        takes=("route",),
        # It sends usage to Google Analytics and leaves files in the home folder. Without it
        # OpenVINO takes its own stub, which also saves 7 MB and a tenth of a second.
        unwanted=("openvino_telemetry",),
    ),
    Backend(
        name="tflite",
        title="TFLite",
        modules=("ai_edge_litert", "tflite_runtime"),
        install="pip install ai-edge-litert",
        suffixes=(".tflite",),
        devices=("cpu",),
        precisions=("fp32", "fp16", "int8", "int4"),
        dynamic_shapes=False,
        session="edge_tx.runtimes.tflite:open_session",
        exporter="edge_tx.exporters.tflite:export",
        quantizer="edge_tx.calibration.tflite:quantize",
        probe="edge_tx.runtimes.probes:tflite",
        takes=("route", "buckets"),
    ),
    Backend(
        name="tensorrt",
        title="TensorRT",
        modules=("tensorrt",),
        install="pip install tensorrt (on a Jetson: apt install python3-libnvinfer)",
        suffixes=(".onnx",),
        devices=("cuda",),
        precisions=("fp32", "fp16", "int8"),
        dynamic_shapes=True,
        session="edge_tx.runtimes.tensorrt:open_session",
        exporter="edge_tx.exporters.tensorrt:export",
        exports=("fp32", "fp16"),
        quantizer="edge_tx.calibration.tensorrt:quantize",
        builder="edge_tx.runtimes.tensorrt_engines:build",
        probe="edge_tx.runtimes.probes:tensorrt",
        obstacle="edge_tx.runtimes.tensorrt:obstacle",
        proven_by="onnx",
        takes=("route", "opset", "buckets"),
    ),
    Backend(
        name="tensorrt_rtx",
        title="TensorRT-RTX",
        modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
        install="pip install 'edge-tx[tensorrt-rtx]'",
        suffixes=(".onnx",),
        devices=("cuda",),
        precisions=("fp32", "fp16", "int8"),
        dynamic_shapes=True,
        session="edge_tx.runtimes.tensorrt:open_rtx_session",
        exporter="edge_tx.exporters.tensorrt:export",
        exports=("fp32", "fp16"),
        quantizer="edge_tx.calibration.tensorrt:quantize",
        builder="edge_tx.runtimes.tensorrt_engines:build",
        probe="edge_tx.runtimes.probes:tensorrt_rtx",
        obstacle="edge_tx.runtimes.tensorrt:obstacle",
        proven_by="onnx",
        takes=("route", "opset", "buckets"),
    ),
    Backend(
        name="fake",
        title="Fake (for tests)",
        modules=("numpy",),
        install="pip install numpy",
        suffixes=(".fake.json",),
        devices=("cpu",),
        precisions=("fp32", "int8"),
        dynamic_shapes=True,
        session="edge_tx.runtimes.fake:open_session",
        quantizer="edge_tx.calibration.fake:quantize",
        hidden=True,
    ),
)


@cache
def known() -> Mapping[str, Backend]:
    """All rows by name: the built-in ones, then those of installed plug-ins.

    Raises:
        InvalidConfig: A plug-in's entry point is not a row, or takes a name already taken.
    """
    from importlib.metadata import entry_points  # 20 ms, and most processes need no plug-in

    rows = {row.name: row for row in _BUILT_IN}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        row = point.load()
        if not isinstance(row, Backend):
            raise InvalidConfig(f"plug-in '{point.value}' is not an edge_tx.backends.Backend")
        if row.name in rows:
            raise InvalidConfig(f"plug-in '{point.value}' takes the name '{row.name}' again")
        rows[row.name] = row
    return rows


def find(name: str) -> Backend:
    """Looks a backend up by name.

    Raises:
        UnknownName: There is none of that name.
    """
    for row in _BUILT_IN:
        if row.name == name:
            return row
    try:
        return known()[name]
    except KeyError:
        shown = (row.name for row in known().values() if not row.hidden)
        raise UnknownName("backend", name, shown) from None


def in_order(names: Collection[str]) -> list[Backend]:
    """The rows of these names, in the table's order and then plug-ins; unknown names are left out.

    Plug-ins are looked for only if a name is none of the built-in ones.
    """
    rows = [row for row in _BUILT_IN if row.name in names]
    if len(rows) < len(set(names)):
        rows = [row for row in known().values() if row.name in names]
    return rows


def available() -> tuple[Backend, ...]:
    """The backends whose vendor module is installed here."""
    return tuple(row for row in known().values() if row.module is not None)


def open_session(backend: str, entry: Path, config: SessionConfig | None = None) -> Session:
    """Opens a graph file in its backend.

    Args:
        backend: Name of the backend.
        entry: The graph's entry file; files that belong to it lie beside it.
        config: How to open it.

    Raises:
        UnknownName: No such backend, or no such device in it.
        MissingDependency: The vendor's module is not installed.
        DeviceUnavailable: The device that was asked for is not here.
        SessionFailed: The vendor's runtime refuses the graph.
    """
    row = find(backend)
    config = config or SessionConfig()
    row.check_device(config)
    if row.module is None:
        raise row.absent(f"running {row.name} graphs")
    return cast(Session, resolve(row.session)(entry, config))


def resolve(dotted: str) -> Callable[..., Any]:
    """Imports what a row names as ``"module:function"``."""
    module, _, name = dotted.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
