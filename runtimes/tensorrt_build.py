"""Builds one engine, in a process of its own: ``python -m edge_tx.runtimes.tensorrt_build``.

TensorRT is native code that can crash; see :mod:`edge_tx.runtimes.isolation`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edge_tx.backends import find
from edge_tx.errors import MissingDependency, SessionFailed
from edge_tx.runtimes import isolation, tensorrt_api
from edge_tx.runtimes.tensorrt_api import (
    Api,
    Builder,
    BuilderConfig,
    Network,
    NetworkInput,
    OnnxParser,
    OptimizationProfile,
    ParserError,
    RtxBuilderConfig,
)
from edge_tx.runtimes.tensorrt_profiles import Profile, read

__all__ = ["Answer", "Request", "Settings", "build", "run", "trial"]

_MODULE = "edge_tx.runtimes.tensorrt_build"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose about an engine.

    Attributes:
        workspace_bytes: Most scratch memory of any one layer; 0 for all the device has.
        optimization_level: 0 (builds soonest) to 5 (runs soonest); -1 for the builder's own.
    """

    workspace_bytes: int = 0
    optimization_level: int = -1


@dataclass(frozen=True, slots=True)
class Request:
    """What to build.

    Attributes:
        backend: Row whose module builds it.
        onnx: The graph.
        profiles: Shapes to build for.
        settings: The user's choices.
        engine: File to write the engine to; empty to parse and build without keeping it.
        compute_capability: GPU generation to build for without one, e.g. 89; 0 for the GPU
            that is here.
        timing_cache: File with the timings of earlier builds, read and written; empty for none.
    """

    backend: str
    onnx: str
    profiles: tuple[Profile, ...]
    settings: Settings = Settings()
    engine: str = ""
    compute_capability: int = 0
    timing_cache: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """How it went.

    Attributes:
        version: Of TensorRT.
        seconds: That parsing and building took.
        engine_bytes: Size of the engine; 0 if there is none.
        layers: Of the parsed network.
        unsupported: Nodes that the parser refuses, ``"Operator 'name': why"``.
        failure: Why there is no engine; empty if there is one.
    """

    version: str
    seconds: float
    engine_bytes: int
    layers: int = 0
    unsupported: tuple[str, ...] = ()
    failure: str = ""


def run(request: Request) -> Answer:
    """Builds in a child process.

    Raises:
        MissingDependency: TensorRT is not installed.
        SessionFailed: The child crashed, or TensorRT does not load.
    """
    row = find(request.backend)
    if row.module is None:
        raise MissingDependency(row.modules[0], f"building {row.name} engines", row.install)
    doing = f"building {Path(request.onnx).parent.name} with {row.title}"
    return isolation.call(_MODULE, request, Answer, doing)


def trial(backend: str, onnx: Path, profiles: Path, compute_capability: int) -> Answer:
    """Builds an engine that nobody keeps, to see whether it can be.

    Raises:
        SessionFailed: See :func:`run`.
    """
    request = Request(
        backend=backend,
        onnx=str(onnx),
        profiles=read(profiles),
        compute_capability=compute_capability,
    )
    return run(request)


def build(request: Request) -> Answer:
    """Builds in this process, which may die of it; see :func:`run`.

    Raises:
        MissingDependency: TensorRT is not installed.
        SessionFailed: TensorRT does not load, or the graph cannot be read.
    """
    api = tensorrt_api.load(find(request.backend))
    began = time.perf_counter()
    # All held to the end: TensorRT crashes when a parser outlives its network, or anything its
    # logger.
    log = tensorrt_api.messages(api)
    builder = api.Builder(log)
    network, parser = _parser(api, builder, log)
    parsed = parser.parse_from_file(request.onnx)
    unsupported = () if parsed else _refused(api, builder, log, request.onnx)
    failure, size = "", 0
    if parsed:
        try:
            size = _built(api, builder, network, request)
            failure = "" if size else log.worst()
        except (ValueError, RuntimeError) as exc:
            failure = " ".join(str(exc).split())
    seconds = time.perf_counter() - began
    return Answer(api.__version__, seconds, size, network.num_layers, unsupported, failure)


def _parser(api: Api, builder: Builder, log: Any) -> tuple[Network, OnnxParser]:
    strongly_typed = 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    return network, api.OnnxParser(network, log)


def _refused(api: Api, builder: Builder, log: Any, onnx: str) -> tuple[str, ...]:
    """Asks for every node that is refused; parsing stops at the first one."""
    try:
        model = Path(onnx).read_bytes()
    except OSError as exc:
        raise SessionFailed(f"cannot read {onnx}: {exc.strerror or exc}") from exc
    _network, parser = _parser(api, builder, log)  # a parser takes one model in its life
    parser.supports_model_v2(model, onnx)
    told = dict.fromkeys(_told(parser.get_error(i)) for i in range(parser.num_errors))
    return tuple(told) or (f"the whole graph: {log.worst()}",)


def _told(error: ParserError) -> str:
    node = f"{error.node_operator()} '{error.node_name()}': " if error.node_operator() else ""
    return node + " ".join(error.desc().split())


def _built(api: Api, builder: Builder, network: Network, request: Request) -> int:
    """Builds the parsed network and writes the engine; gives its size, 0 if it failed."""
    config = _config(api, builder, network, request)
    memory = builder.build_serialized_network(network, config)
    if memory is None:
        return 0
    if request.engine:
        Path(request.engine).write_bytes(memory)
    if request.timing_cache:
        _keep_timings(config, Path(request.timing_cache))
    return memory.nbytes


def _config(api: Api, builder: Builder, network: Network, request: Request) -> BuilderConfig:
    config: BuilderConfig = builder.create_builder_config()
    settings = request.settings
    # On by default, it rounds the factors of fp32 products to 11 bits: the graph says fp32.
    config.clear_flag(api.BuilderFlag.TF32)
    # Off by default; looks at weights only, and changes nothing where they have no 2:4 pattern.
    config.set_flag(api.BuilderFlag.SPARSE_WEIGHTS)
    if settings.workspace_bytes:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, settings.workspace_bytes)
    if settings.optimization_level >= 0:
        config.builder_optimization_level = settings.optimization_level
    for wanted in request.profiles:
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            _set_range(profile, network.get_input(index), wanted)
        if config.add_optimization_profile(profile) < 0:
            raise ValueError(f"the builder refuses the profile {wanted}")
    if request.compute_capability:
        _aim(api, cast(RtxBuilderConfig, config), request.compute_capability)
    if request.timing_cache:
        _use_timings(config, Path(request.timing_cache))
    return config


def _set_range(profile: OptimizationProfile, tensor: NetworkInput, wanted: Profile) -> None:
    batch, seq = wanted.batch, wanted.seq
    if len(tensor.shape) != 2:
        raise ValueError(f"input '{tensor.name}' is {tuple(tensor.shape)}, not [batch, seq]")
    profile.set_shape(tensor.name, (batch.min, seq.min), (batch.opt, seq.opt), (batch.max, seq.max))


def _aim(api: Api, config: RtxBuilderConfig, capability: int) -> None:
    known = {int(value): value for value in api.ComputeCapability.__members__.values()}
    if capability not in known:
        names = ", ".join(str(number) for number in sorted(known) if number > 1)
        raise ValueError(f"it has no compute capability {capability}; it has {names}")
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(known[capability], 0):
        raise ValueError(f"it cannot build for compute capability {capability}")


def _use_timings(config: BuilderConfig, path: Path) -> None:
    cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    # One of another GPU or version is not taken; the build then starts from an empty one.
    if not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep_timings(config: BuilderConfig, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_bytes(cache.serialize())
        new.replace(path)


if __name__ == "__main__":
    isolation.serve(Request, build)
