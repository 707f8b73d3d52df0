"""The names of TensorRT's Python API that edge_tx uses, typed, and no others.

They are the ones that TensorRT 10.3 (JetPack 6), 10.16 (JetPack 7.2), 11.4 and TensorRT-RTX 1.7
share; :class:`RtxBuilderConfig` and ``ComputeCapability`` are RTX's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

from edge_tx.backends import Backend
from edge_tx.errors import MissingDependency, SessionFailed

__all__ = [
    "AHEAD_OF_TIME",
    "Api",
    "Builder",
    "BuilderConfig",
    "Dims",
    "Engine",
    "ExecutionContext",
    "HostMemory",
    "Logger",
    "Network",
    "NetworkInput",
    "OnnxParser",
    "OptimizationProfile",
    "ParserError",
    "RtxBuilderConfig",
    "Runtime",
    "TimingCache",
    "load",
    "messages",
]

AHEAD_OF_TIME: Mapping[str, bool] = {"tensorrt": False, "tensorrt_rtx": True}
"""Backend -> whether it builds for GPUs that are not here. Such an engine fits every GPU of its
generation, and its kernels are not timed, so there are no timings to keep."""


class Dims(Protocol):
    """``Dims``: sizes. Where one is wanted, a tuple will do."""

    def __len__(self) -> int:
        """Count of dimensions."""

    def __iter__(self) -> Iterator[int]:
        """The sizes."""


class Logger(Protocol):
    """``ILogger``: what every other object reports to, and must be outlived by."""

    def log(self, severity: Any, msg: str) -> None:
        """Takes one message."""


class HostMemory(Protocol):
    """``IHostMemory``: a buffer, read through the buffer protocol."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""

    def __buffer__(self, flags: int, /) -> memoryview:
        """What lets ``bytes`` and files take it."""


class NetworkInput(Protocol):
    """``ITensor``."""

    @property
    def name(self) -> str:
        """Name."""

    @property
    def shape(self) -> Dims:
        """Sizes; -1 where dynamic."""


class Network(Protocol):
    """``INetworkDefinition``."""

    @property
    def num_inputs(self) -> int:
        """Count of inputs."""

    @property
    def num_layers(self) -> int:
        """Count of layers."""

    def get_input(self, index: int) -> NetworkInput:
        """One input."""


class OptimizationProfile(Protocol):
    """``IOptimizationProfile``: a range of shapes that kernels are chosen for."""

    def set_shape(self, input: str, min: Dims, opt: Dims, max: Dims) -> None:  # noqa: A002
        """Sets one input's range; raises ValueError if it makes no sense."""


class TimingCache(Protocol):
    """``ITimingCache``: kernel timings of earlier builds on this GPU."""

    def serialize(self) -> HostMemory:
        """All of it."""


class BuilderConfig(Protocol):
    """``IBuilderConfig``."""

    builder_optimization_level: int

    def clear_flag(self, flag: Any) -> None:
        """Turns a flag off."""

    def set_flag(self, flag: Any) -> None:
        """Turns a flag on."""

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        """Limits a pool, in bytes."""

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        """Adds a profile; -1 if it is not valid."""

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache:
        """A cache, empty for ``b""``."""

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        """Uses a cache; False if it is of another GPU or version."""

    def get_timing_cache(self) -> TimingCache | None:
        """The cache after a build."""


class RtxBuilderConfig(BuilderConfig, Protocol):
    """``IBuilderConfig`` of TensorRT-RTX, which builds for GPUs that are not here."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool:
        """Names a GPU generation to build for."""


class Builder(Protocol):
    """``Builder``."""

    def create_network(self, flags: int = 0) -> Network:
        """An empty network."""

    def create_builder_config(self) -> BuilderConfig:
        """Settings of a build."""

    def create_optimization_profile(self) -> OptimizationProfile:
        """An empty profile."""

    def build_serialized_network(
        self, network: Network, config: BuilderConfig
    ) -> HostMemory | None:
        """Builds an engine; None if that failed, and the logger knows why."""


class ParserError(Protocol):
    """``IParserError``."""

    def desc(self) -> str:
        """What is wrong."""

    def node_name(self) -> str:
        """Name of the node."""

    def node_operator(self) -> str:
        """ONNX operator of the node."""


class OnnxParser(Protocol):
    """``OnnxParser``: must not outlive its network, or it crashes."""

    @property
    def num_errors(self) -> int:
        """Count of errors."""

    def get_error(self, index: int) -> ParserError:
        """One error."""

    def supports_model_v2(self, model: bytes, path: str = ...) -> bool:
        """Whether every node is supported; errors say which are not."""

    def parse_from_file(self, model: str) -> bool:
        """Fills the network; False if that failed."""


class ExecutionContext(Protocol):
    """``IExecutionContext``: one call at a time."""

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """Chooses the profile."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Sets an input's shape."""

    def get_tensor_shape(self, name: str) -> Dims:
        """The shape of a tensor, outputs too once all inputs' are set."""

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Sets where a tensor lies on the device."""

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Starts a call on a stream."""


class Engine(Protocol):
    """``ICudaEngine``."""

    @property
    def num_io_tensors(self) -> int:
        """Count of inputs and outputs."""

    @property
    def num_optimization_profiles(self) -> int:
        """Count of profiles."""

    def get_tensor_name(self, index: int) -> str:
        """Name of an input or output."""

    def get_tensor_mode(self, name: str) -> Any:
        """A ``TensorIOMode``."""

    def get_tensor_dtype(self, name: str) -> Any:
        """A ``DataType``."""

    def get_tensor_shape(self, name: str) -> Dims:
        """Sizes; -1 where dynamic."""

    def create_execution_context(self) -> ExecutionContext | None:
        """A context; None if there is no memory for it."""


class Runtime(Protocol):
    """``Runtime``."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        """Reads an engine; None if it is not for this GPU or version, or there is no GPU."""


class Api(Protocol):
    """The module itself."""

    __version__: str
    NetworkDefinitionCreationFlag: Any  # STRONGLY_TYPED
    BuilderFlag: Any  # TF32, SPARSE_WEIGHTS
    MemoryPoolType: Any  # WORKSPACE
    TensorIOMode: Any  # INPUT, OUTPUT
    ComputeCapability: Any  # SM75...: TensorRT-RTX only
    ILogger: Any

    def Builder(self, logger: Logger) -> Builder:  # noqa: N802
        """Makes a builder."""

    def OnnxParser(self, network: Network, logger: Logger) -> OnnxParser:  # noqa: N802
        """Makes a parser."""

    def Runtime(self, logger: Logger) -> Runtime:  # noqa: N802
        """Makes a runtime."""


def load(row: Backend) -> Api:
    """Imports a backend's module.

    Raises:
        MissingDependency: It is not installed.
        SessionFailed: It is, but its libraries do not load.
    """
    module = row.module
    if module is None:
        raise MissingDependency(row.modules[0], f"running {row.name} graphs", row.install)
    try:
        found = cast(Api, importlib.import_module(module))
        found.Builder  # noqa: B018 - a folder with nothing but type stubs imports as well
    except (ImportError, OSError, RuntimeError, AttributeError) as exc:
        line = " ".join(str(exc).split())
        raise SessionFailed(
            f"{module} is installed, but does not load: {line[:300]}; {row.install}"
        ) from exc
    return found


def messages(api: Api) -> Any:
    """A logger that keeps errors, prints nothing, and tells the last ones by ``worst()``."""
    errors = (api.ILogger.INTERNAL_ERROR, api.ILogger.ERROR)

    class Messages(api.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in errors:
                self.errors.append(" ".join(msg.split()))

        def worst(self) -> str:
            return "; ".join(dict.fromkeys(self.errors[-3:])) or "TensorRT does not say why"

    return Messages()
