"""TensorRT engines on an NVIDIA GPU: those that ``edge-tx build`` made on it, and no others."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from edge_tx.backends import Backend, Placement, SessionConfig, find
from edge_tx.errors import (
    DeviceUnavailable,
    EdgeTxError,
    InvalidConfig,
    MissingDependency,
    SessionFailed,
    UnknownName,
)
from edge_tx.runtimes import tensorrt_api, tensorrt_store
from edge_tx.runtimes.cuda import Cuda, Gpu
from edge_tx.runtimes.tensorrt_api import Api, Engine
from edge_tx.runtimes.tensorrt_lanes import Lane, Lanes, Tensor
from edge_tx.runtimes.tensorrt_profiles import PROFILES, Profile, choose, read
from edge_tx.runtimes.tensorrt_records import Target
from edge_tx.runtimes.tensorrt_store import Store
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

__all__ = [
    "Options",
    "TensorrtSession",
    "obstacle",
    "open_rtx_session",
    "open_session",
    "target_of",
]

# Names of TensorRT's DataType.
_DTYPES = {
    "BOOL": DType.BOOL,
    "INT8": DType.INT8,
    "UINT8": DType.UINT8,
    "INT32": DType.INT32,
    "INT64": DType.INT64,
    "HALF": DType.FLOAT16,
    "FLOAT": DType.FLOAT32,
}
_CLOSED = "the session is closed: open it again"


@dataclass(frozen=True, slots=True)
class Options:
    """What :attr:`edge_tx.backends.SessionConfig.options` may say.

    Attributes:
        cache_dir: Where engines are kept; see :func:`edge_tx.runtimes.tensorrt_store.default_root`.
        unproven: Opens an engine that was not held against the golden answers yet, which is
            what proving it takes.
    """

    cache_dir: Path
    unproven: bool = False

    @classmethod
    def of(cls, config: SessionConfig) -> Options:
        """Reads them.

        Raises:
            UnknownName: An option there is not.
            InvalidConfig: A value that makes no sense.
        """
        given = dict(config.options)
        for name in given:
            if name not in cls.__slots__:
                raise UnknownName("option of TensorRT", name, cls.__slots__)
        if given.get("unproven", "no") not in ("yes", "no"):
            raise InvalidConfig(f"unproven must be yes or no, not {given['unproven']!r}")
        root = given.get("cache_dir")
        return cls(
            cache_dir=Path(root) if root else tensorrt_store.default_root(),
            unproven=given.get("unproven") == "yes",
        )


def open_session(entry: Path, config: SessionConfig) -> TensorrtSession:
    """Opens the engine that was built of a graph, on this GPU by this release of TensorRT.

    Raises:
        MissingDependency: TensorRT is not installed.
        DeviceUnavailable: There is no NVIDIA GPU that works.
        SessionFailed: No such engine was built, or it cannot be opened.
    """
    return _open("tensorrt", entry, config)


def open_rtx_session(entry: Path, config: SessionConfig) -> TensorrtSession:
    """Opens a TensorRT-RTX engine; see :func:`open_session`."""
    return _open("tensorrt_rtx", entry, config)


def obstacle(row: Backend, entry: Path, config: SessionConfig) -> EdgeTxError | None:
    """Why no engine of a graph can be opened here; None if one can.

    Args:
        row: The backend.
        entry: The graph's entry file.
        config: How it would be opened.

    Returns:
        There is no GPU, TensorRT does not load, or no engine was built and proven.

    Raises:
        UnknownName: An option there is not.
        InvalidConfig: A value that makes no sense.
    """
    options = Options.of(config)
    try:
        cuda = Cuda.open()  # first, as it costs nothing where there is no GPU
        try:
            target = target_of(row.name, tensorrt_api.load(row), cuda.gpu())
            Store(options.cache_dir).open(entry.parent, target, unproven=options.unproven)
        finally:
            cuda.close()
    except (DeviceUnavailable, MissingDependency, SessionFailed) as exc:
        return exc
    return None


def _open(backend: str, entry: Path, config: SessionConfig) -> TensorrtSession:
    options = Options.of(config)
    if not entry.is_file():
        raise SessionFailed(f"no graph at {entry}")
    row = find(backend)
    api = tensorrt_api.load(row)
    cuda = Cuda.open()
    try:
        gpu = cuda.gpu()
        target = target_of(backend, api, gpu)
        plan = Store(options.cache_dir).open(entry.parent, target, unproven=options.unproven)
        log = tensorrt_api.messages(api)
        runtime = api.Runtime(log)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise SessionFailed(
                f"{row.title} {api.__version__} does not open the engine of {entry.parent.name}: "
                f"{log.worst()}; edge-tx build --force makes a new one"
            )
        placement = Placement(
            backend=backend,
            device="cuda",
            provider=f"{row.title} on {gpu.name}",
            threads=config.threads,
            streams=config.streams,
            runtime=f"{row.title} {api.__version__}",
        )
        profiles = read(entry.parent / PROFILES)
        session = TensorrtSession(engine, cuda, profiles, placement, log, keeps=(runtime, log))
    except BaseException:
        cuda.close()
        raise
    return session


def target_of(backend: str, api: Api, gpu: Gpu) -> Target:
    """What an engine for a GPU is tied to."""
    portable = tensorrt_api.AHEAD_OF_TIME[backend]
    return Target(
        backend=backend,
        version=api.__version__,
        compute_capability=gpu.compute_capability,
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        gpu="" if portable else gpu.name,
        driver="" if portable else gpu.driver,
    )


class TensorrtSession:
    """An open engine; see :class:`edge_tx.backends.Session`.

    Each call takes a lane (a context, a stream and buffers) of the profile that wastes least,
    and gives it back. A profile has as many lanes as the session has streams; they are made
    when they are first needed.

    Args:
        engine: The engine.
        cuda: The device, which is closed with the session.
        profiles: What the engine was built for.
        placement: Where it runs.
        log: What the engine reports to; has ``worst()``.
        keeps: What must live as long as the engine.
    """

    def __init__(
        self,
        engine: Engine,
        cuda: Cuda,
        profiles: Sequence[Profile],
        placement: Placement,
        log: Any,
        keeps: tuple[Any, ...] = (),
    ) -> None:
        if engine.num_optimization_profiles != len(profiles):
            raise SessionFailed(
                f"the engine has {engine.num_optimization_profiles} profiles, its graph "
                f"{len(profiles)}: edge-tx build --force makes a new one"
            )
        self._placement = placement
        self._cuda = cuda
        self._profiles = profiles
        tensors = [_tensor(engine, i) for i in range(engine.num_io_tensors)]
        self._inputs = tuple(t.spec for t in tensors if t.is_input)
        self._outputs = tuple(t.spec for t in tensors if not t.is_input)

        def lane(index: int) -> Lane:
            return Lane(engine, cuda, tensors, index, profiles[index], log)

        self._lanes = [Lanes(lane, i, placement.streams) for i in range(len(profiles))]
        self._keeps = (engine, *keeps)
        self._lock = Lock()
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the engine once; see :meth:`edge_tx.backends.Session.run`.

        A batch with more rows than the largest profile holds is run in parts.
        """
        if self._closed:
            raise SessionFailed(_CLOSED)
        ready = check_feeds(self._inputs, feeds)
        batch, seq = next(iter(ready.values())).shape
        index, rows = choose(self._profiles, batch, seq)
        self._cuda.bind()
        lanes = self._lanes[index]
        lane = lanes.take()
        try:
            if rows == batch:
                return lane.run(ready)
            parts = [
                lane.run({name: array[start : start + rows] for name, array in ready.items()})
                for start in range(0, batch, rows)
            ]
        finally:
            lanes.give(lane)
        return {spec.name: np.concatenate([p[spec.name] for p in parts]) for spec in self._outputs}

    def placement(self) -> Placement:
        """Says which GPU runs the engine."""
        if self._closed:
            raise SessionFailed(_CLOSED)
        return self._placement

    def close(self) -> None:
        """Frees the engine and its buffers, after the calls under way."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._cuda.bind()
            for lanes in self._lanes:
                lanes.close()
            self._keeps = ()
            self._cuda.close()


def _tensor(engine: Engine, index: int) -> Tensor:
    name = engine.get_tensor_name(index)
    dtype = engine.get_tensor_dtype(name).name
    if dtype not in _DTYPES:
        raise SessionFailed(f"'{name}' has type {dtype}, which edge_tx cannot feed or read")
    shape = tuple(
        size if size >= 0 else ("batch", "seq")[axis] if axis < 2 else f"{name}_{axis}"
        for axis, size in enumerate(engine.get_tensor_shape(name))
    )
    is_input = engine.get_tensor_mode(name).name == "INPUT"
    if is_input and shape != ("batch", "seq"):
        raise SessionFailed(f"the engine's input '{name}' is {shape}, not [batch, seq]")
    return Tensor(TensorSpec(name, _DTYPES[dtype], shape), is_input)
