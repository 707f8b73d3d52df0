"""The TensorRT session on a simulated GPU.

No GPU is needed: device memory is the host's, a stream is a list of what is still to do, done
only when somebody waits for it, and an engine is the ONNX graph in ONNX Runtime. Every copy is
checked against what was allocated. It shows that the session's own bookkeeping is right (which
bytes go where, when, in which shape, by which thread); what TensorRT and CUDA do with the same
calls is for the tests marked ``gpu``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import Backend, SessionConfig, open_session
from edge_tx.bundle import Bundle
from edge_tx.errors import (
    DeviceUnavailable,
    FeedMismatch,
    InvalidConfig,
    ParityFailed,
    SessionFailed,
    UnknownName,
)
from edge_tx.runtimes import cuda, isolation, tensorrt_api, tensorrt_engines
from edge_tx.runtimes.cuda import Cuda
from edge_tx.runtimes.tensorrt import TensorrtSession, target_of
from edge_tx.runtimes.tensorrt_build import Settings
from edge_tx.runtimes.tensorrt_profiles import Profile, parse
from edge_tx.runtimes.tensorrt_records import Proof, Record, graph_hash
from edge_tx.runtimes.tensorrt_store import Store
from edge_tx.tensors import Array, DType, TensorSpec
from edge_tx.testing import Sample, SessionContract

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="the graph is made by hand with onnx")

PROOF = Proof(cases=1, max_abs_error=0.0, min_cosine=1.0, agreement=1.0)


class Driver:
    """Answers to the names of the CUDA driver API."""

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, list[Callable[[], object]]] = {}
        self.retained = 0
        self.bound: set[int] = set()
        self.room = 1 << 30
        self.lock = threading.Lock()

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return 0

    def cuGetErrorString(self, _code: int, out: Any) -> int:  # noqa: N802
        out._obj.value = b"simulated error"
        return 0

    def cuDriverGetVersion(self, out: Any) -> int:  # noqa: N802
        return self._give(out, 12060)

    def cuDeviceGetCount(self, out: Any) -> int:  # noqa: N802
        return self._give(out, self.devices)

    def cuDeviceGet(self, out: Any, ordinal: int) -> int:  # noqa: N802
        return self._give(out, ordinal)

    def cuDeviceGetName(self, buffer: Any, _size: int, _device: int) -> int:  # noqa: N802
        buffer.value = b"Simulated Orin"
        return 0

    def cuDeviceGetAttribute(self, out: Any, what: int, _device: int) -> int:  # noqa: N802
        return self._give(out, {75: 8, 76: 7}[what])

    def cuDevicePrimaryCtxRetain(self, out: Any, _device: int) -> int:  # noqa: N802
        self.retained += 1
        return self._give(out, 1)

    def cuDevicePrimaryCtxRelease_v2(self, _device: int) -> int:  # noqa: N802
        self.retained -= 1
        return 0

    def cuCtxSetCurrent(self, context: int) -> int:  # noqa: N802
        self.bound.add(threading.get_ident())
        return int(context != 1)

    def cuMemAlloc_v2(self, out: Any, size: int) -> int:  # noqa: N802
        return self._allocate(out, size)

    def cuMemFree_v2(self, address: int) -> int:  # noqa: N802
        return int(self.memory.pop(address, None) is None)

    def cuMemHostAlloc(self, out: Any, size: int, _flags: int) -> int:  # noqa: N802
        return self._allocate(out, size)

    def cuMemFreeHost(self, address: int) -> int:  # noqa: N802
        return int(self.memory.pop(address, None) is None)

    def cuStreamCreate(self, out: Any, _flags: int) -> int:  # noqa: N802
        with self.lock:
            handle = 100 + len(self.streams)
            self.streams[handle] = []
        return self._give(out, handle)

    def cuStreamDestroy_v2(self, stream: int) -> int:  # noqa: N802
        return int(self.streams.pop(stream, None) is None)

    def cuStreamSynchronize(self, stream: int) -> int:  # noqa: N802
        for work in self.streams[stream]:
            work()
        self.streams[stream].clear()
        return 0

    def cuMemcpyHtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:  # noqa: N802
        return self._copy(to, source, size, stream)

    def cuMemcpyDtoHAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:  # noqa: N802
        return self._copy(to, source, size, stream)

    def holds(self, address: int, size: int) -> bool:
        return address in self.memory and size <= len(self.memory[address])

    def _give(self, out: Any, value: int) -> int:
        out._obj.value = value
        return 0

    def _allocate(self, out: Any, size: int) -> int:
        if threading.get_ident() not in self.bound:
            return 201  # CUDA_ERROR_INVALID_CONTEXT
        with self.lock:
            if sum(map(len, self.memory.values())) + size > self.room:
                return 2  # CUDA_ERROR_OUT_OF_MEMORY
            buffer = (ctypes.c_uint8 * size)()
            self.memory[ctypes.addressof(buffer)] = buffer
        return self._give(out, ctypes.addressof(buffer))

    def _copy(self, to: int, source: int, size: int, stream: int) -> int:
        if threading.get_ident() not in self.bound:
            return 201
        if not (self.holds(to, size) and self.holds(source, size)):
            return 1
        self.streams[stream].append(partial(ctypes.memmove, to, source, size))
        return 0


class DataType(Enum):
    INT64 = np.int64
    FLOAT = np.float32


class Engine:
    """Answers to the names of ``ICudaEngine``; runs an ONNX graph."""

    def __init__(self, model: bytes, driver: Driver, profiles: tuple[Profile, ...]) -> None:
        self.session = ort.InferenceSession(model)
        self.driver = driver
        self.profiles = profiles
        ends = [(v, "INPUT") for v in self.session.get_inputs()]
        ends += [(v, "OUTPUT") for v in self.session.get_outputs()]
        self.ends: dict[str, tuple[Any, str]] = {value.name: (value, mode) for value, mode in ends}
        self.num_io_tensors = len(ends)
        self.num_optimization_profiles = len(profiles)
        self.contexts: list[Context] = []

    def get_tensor_name(self, index: int) -> str:
        return list(self.ends)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return SimpleNamespace(name=self.ends[name][1])

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType.INT64 if "int64" in self.ends[name][0].type else DataType.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(n if isinstance(n, int) else -1 for n in self.ends[name][0].shape)

    def create_execution_context(self) -> Context:
        self.contexts.append(Context(self))
        return self.contexts[-1]


class Context:
    """Answers to the names of ``IExecutionContext``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.profile = -1
        self.shape: dict[str, tuple[int, ...]] = {}
        self.address: dict[str, int] = {}
        self.busy = False
        self.calls = 0

    def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
        self.profile = index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        profile = self.engine.profiles[self.profile]
        if not (profile.batch.holds(shape[0]) and profile.seq.holds(shape[1])):
            return False
        self.shape[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        given = next(iter(self.shape.values()))
        sizes = {"batch": given[0], "seq": given[1]}
        return tuple(sizes.get(n, n) for n in self.engine.ends[name][0].shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.address[name] = memory
        return memory in self.engine.driver.memory

    def execute_async_v3(self, stream: int) -> bool:
        if self.busy:  # a context takes one call at a time
            return False
        self.busy = True
        self.calls += 1
        shapes = dict(self.shape)
        self.engine.driver.streams[stream].append(lambda: self._run(shapes))
        return True

    def _run(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        feeds = {name: self._array(name, shape) for name, shape in shapes.items()}
        for value, out in zip(
            self.engine.session.get_outputs(), self.engine.session.run(None, feeds), strict=True
        ):
            self._array(value.name, out.shape)[...] = out
        self.busy = False

    def _array(self, name: str, shape: tuple[int, ...]) -> Array:
        dtype = np.dtype(self.engine.get_tensor_dtype(name).value)
        size = int(np.prod(shape)) * dtype.itemsize
        assert self.engine.driver.holds(self.address[name], size)
        memory = self.engine.driver.memory[self.address[name]]
        found: Array = np.frombuffer(memory, np.uint8)[:size].view(dtype).reshape(shape)
        return found


class Log:
    def worst(self) -> str:
        return "simulated"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    """A simulated GPU with TensorRT 10.3; engines are kept in ``tmp_path / "cache/engines"``."""
    driver = Driver()

    class Runtime:
        def __init__(self, _log: Any) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            profiles, magic, model = plan.partition(b"\0SIMULATED\0")
            return Engine(model, driver, parse(profiles)) if magic else None

    api = SimpleNamespace(__version__="10.3.0", Runtime=Runtime)
    monkeypatch.setattr(cuda, "load_driver", lambda: driver)
    monkeypatch.setattr(tensorrt_api, "load", lambda _row: api)
    monkeypatch.setattr(tensorrt_api, "messages", lambda _api: Log())
    monkeypatch.setattr(Backend, "module", property(lambda _self: "numpy"))
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))
    driver.api = api  # type: ignore[attr-defined]
    return driver


def put(driver: Driver, entry: Path, root: Path, proof: Proof | None = PROOF) -> Record:
    """Puts a simulated engine of a graph in the store."""
    store = Store(root)
    opened = Cuda.open(driver=driver)
    target = target_of("tensorrt", driver.api, opened.gpu())  # type: ignore[attr-defined]
    opened.close()
    profiles = (entry.parent / "profiles.json").read_bytes()
    with store.workshop() as folder:
        (folder / "engine").write_bytes(profiles + b"\0SIMULATED\0" + entry.read_bytes())
        record = store.keep(
            folder / "engine",
            graph_hash(entry.parent),
            target,
            Settings(),
            seconds=0.0,
            built_ns=1,
        )
    return record if proof is None else store.proven(record, proof)


@pytest.fixture
def entry(gpu: Driver, onnx_graph: Callable[..., Path], tmp_path: Path) -> Path:
    made = onnx_graph()
    put(gpu, made, tmp_path / "cache/engines")
    return made


@pytest.fixture
def session(entry: Path) -> Iterator[TensorrtSession]:
    opened = open_session("tensorrt", entry, SessionConfig(streams=3))
    assert isinstance(opened, TensorrtSession)
    yield opened
    opened.close()


def feeds(batch: int, seq: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, seq), np.int64)
    return {"input_ids": rng.integers(0, 64, (batch, seq)), "attention_mask": mask}


def truth(entry: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    native = ort.InferenceSession(str(entry))
    names = [value.name for value in native.get_outputs()]
    return dict(zip(names, native.run(names, dict(given)), strict=True))


class TestContract(SessionContract):
    backend = "tensorrt"

    @pytest.fixture
    def sample(self, entry: Path) -> Sample:
        ids = tuple(
            TensorSpec(name, DType.INT64, ("batch", "seq"))
            for name in ("input_ids", "attention_mask")
        )
        outputs = (
            TensorSpec("sentence_embedding", DType.FLOAT32, ("batch", 8)),
            TensorSpec("tokens", DType.FLOAT32, ("batch", "seq", 8)),
        )
        return Sample(entry, ids, outputs, lambda f: truth(entry, f), vocabulary=64, longest=32)


@pytest.mark.parametrize("batch", [1, 2, 6, 7, 13])
@pytest.mark.parametrize("seq", [1, 16, 17, 32])
def test_any_shape_within_the_profiles_is_answered(
    session: TensorrtSession, entry: Path, batch: int, seq: int
) -> None:
    given = feeds(batch, seq)
    for name, array in session.run(given).items():
        np.testing.assert_allclose(array, truth(entry, given)[name], atol=1e-5)


def test_rows_too_long_are_refused(session: TensorrtSession) -> None:
    with pytest.raises(FeedMismatch, match=r"33 tokens fit no profile .* takes 1 to 32"):
        session.run(feeds(1, 33))


def test_memory_is_allocated_once(session: TensorrtSession, gpu: Driver) -> None:
    session.run(feeds(6, 32))
    before = set(gpu.memory)
    for seed in range(5):
        session.run(feeds(2 + seed, 3 + seed, seed))
    assert set(gpu.memory) == before


def test_threads_get_contexts_of_their_own(
    session: TensorrtSession, entry: Path, gpu: Driver
) -> None:
    given = [feeds(1 + seed % 7, 1 + seed % 32, seed) for seed in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(session.run, given))
    for one, answer in zip(given, answers, strict=True):
        np.testing.assert_allclose(answer["tokens"], truth(entry, one)["tokens"], atol=1e-5)
    assert len(gpu.streams) <= 2 * 3  # profiles x streams


def test_closing_frees_everything(entry: Path, gpu: Driver) -> None:
    opened = open_session("tensorrt", entry)
    opened.run(feeds(2, 4))
    assert gpu.memory
    opened.close()
    assert not gpu.memory
    assert not gpu.streams
    assert gpu.retained == 0


def test_full_gpu_is_an_error_and_leaks_nothing(entry: Path, gpu: Driver) -> None:
    opened = open_session("tensorrt", entry)
    gpu.room = 6000
    with pytest.raises(SessionFailed, match=r"cuMem.* failed: simulated error"):
        opened.run(feeds(2, 4))
    assert not gpu.memory
    gpu.room = 1 << 30
    opened.run(feeds(2, 4))
    opened.close()


def test_failing_execution_is_an_error(
    session: TensorrtSession, gpu: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "execute_async_v3", lambda *_: False)
    with pytest.raises(SessionFailed, match="could not run the engine: simulated"):
        session.run(feeds(1, 4))


def test_placement_names_the_gpu(session: TensorrtSession) -> None:
    placement = session.placement()
    assert placement.device == "cuda"
    assert "Simulated Orin" in placement.provider
    assert placement.runtime == "TensorRT 10.3.0"


def test_engine_that_was_never_proven_is_refused(
    gpu: Driver, onnx_graph: Callable[..., Path], tmp_path: Path
) -> None:
    made = onnx_graph()
    put(gpu, made, tmp_path / "cache/engines", proof=None)
    with pytest.raises(SessionFailed, match=r"not held against the golden answers.*edge-tx build"):
        open_session("tensorrt", made)
    unproven = SessionConfig(options=(("unproven", "yes"),))
    open_session("tensorrt", made, unproven).close()


def test_engine_of_another_place_is_opened_when_named(
    gpu: Driver, onnx_graph: Callable[..., Path], tmp_path: Path
) -> None:
    made = onnx_graph()
    put(gpu, made, tmp_path / "elsewhere")
    with pytest.raises(SessionFailed, match="no engine of graph"):
        open_session("tensorrt", made)
    options = (("cache_dir", str(tmp_path / "elsewhere")),)
    open_session("tensorrt", made, SessionConfig(options=options)).close()


def test_options_are_checked(entry: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'cache_dir'"):
        open_session("tensorrt", entry, SessionConfig(options=(("cachedir", "x"),)))
    with pytest.raises(InvalidConfig, match="yes or no"):
        open_session("tensorrt", entry, SessionConfig(options=(("unproven", "1"),)))


def test_engine_that_tensorrt_does_not_read_is_an_error(
    gpu: Driver, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu.api.Runtime, "deserialize_cuda_engine", lambda *_: None)  # type: ignore[attr-defined]
    with pytest.raises(SessionFailed, match="does not open the engine"):
        open_session("tensorrt", entry)
    assert gpu.retained == 0


def test_no_device_is_an_error() -> None:
    with pytest.raises(DeviceUnavailable, match="sees 0 devices"):
        Cuda.open(driver=Driver(devices=0))


def test_no_driver_is_an_error() -> None:
    with pytest.raises(DeviceUnavailable, match="no NVIDIA driver here"):
        cuda.load_driver("libno-such-driver.so")


def test_gpu_is_described() -> None:
    opened = Cuda.open(driver=Driver())
    found = opened.gpu()
    assert (found.name, found.compute_capability, found.driver) == ("Simulated Orin", 87, "12.6")
    opened.close()


@pytest.fixture
def built(
    gpu: Driver, engine_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Builds the engines of a bundle on the simulated GPU, children's work done in here."""

    def call(module: str, request: Any, answer: Any, _doing: str) -> Any:
        if module == tensorrt_engines._MODULE:
            return tensorrt_engines.prove(request)
        profiles = (Path(request.onnx).parent / "profiles.json").read_bytes()
        graph = gpu.wrong or request.onnx  # type: ignore[attr-defined]
        Path(request.engine).write_bytes(profiles + b"\0SIMULATED\0" + Path(graph).read_bytes())
        return answer(version="10.3.0", seconds=1.0, engine_bytes=1)

    gpu.wrong = ""  # type: ignore[attr-defined]
    monkeypatch.setattr(isolation, "call", call)
    root = engine_bundle("tensorrt")

    def build(**options: Any) -> Any:
        with Bundle.open(root) as bundle:
            given = tensorrt_engines.BuildOptions(**options)
            (one,) = tensorrt_engines.build(bundle, bundle.graphs[0], given)
            return one

    return build


def test_a_built_engine_is_proven_and_then_opens(built: Callable[..., Any], gpu: Driver) -> None:
    one = built()
    assert (one.reused, one.record.proof.cases, one.note) == (False, 1, "")
    assert one.record.target.gpu == "Simulated Orin"
    assert built().reused
    assert gpu.retained == 0


def test_an_engine_with_wrong_answers_is_removed(
    built: Callable[..., Any], gpu: Driver, onnx_graph: Callable[..., Path], tmp_path: Path
) -> None:
    gpu.wrong = str(onnx_graph("wrong", seed=7))  # type: ignore[attr-defined]
    with pytest.raises(ParityFailed, match=r"fails . checks against the golden answers: case 0"):
        built()
    assert not list((tmp_path / "cache/engines").rglob("*.engine"))
    assert not list((tmp_path / "cache/engines").rglob("*.json"))


def test_an_engine_that_stopped_working_is_built_anew(
    built: Callable[..., Any], gpu: Driver, tmp_path: Path
) -> None:
    first = built()
    store = Store(tmp_path / "cache/engines")
    with store.workshop() as folder:  # as after a build that was stopped before its proof
        (folder / "engine").write_bytes(b"no engine")
        stale = store.keep(
            folder / "engine",
            first.record.graph,
            first.record.target,
            Settings(),
            seconds=0.0,
            built_ns=2,
        )
    assert store.find(stale.graph, stale.target, Settings()) == stale
    again = built()
    assert not again.reused
    assert again.record.engine == first.record.engine
    assert again.record.proof is not None
