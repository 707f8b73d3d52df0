"""The builder, with TensorRT-RTX's real parser and builder: they need no GPU."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.backends import Backend, find
from edge_tx.errors import MissingDependency, SessionFailed
from edge_tx.runtimes import tensorrt_api
from edge_tx.runtimes.tensorrt_build import Request, Settings, run, trial
from edge_tx.runtimes.tensorrt_profiles import read

needs_rtx = pytest.mark.skipif(
    find("tensorrt_rtx").module is None, reason="pip install 'edge-tx[tensorrt-rtx]'"
)
needs_onnx = pytest.mark.skipif(
    find("onnx").module is None, reason="the graph is made by hand with onnx"
)

# Protocol -> the module's own name for it.
FACADE = {
    "Builder": "Builder",
    "Dims": "Dims",
    "BuilderConfig": "IBuilderConfig",
    "Engine": "ICudaEngine",
    "ExecutionContext": "IExecutionContext",
    "HostMemory": "IHostMemory",
    "Logger": "ILogger",
    "Network": "INetworkDefinition",
    "NetworkInput": "ITensor",
    "OnnxParser": "OnnxParser",
    "OptimizationProfile": "IOptimizationProfile",
    "ParserError": "ParserError",
    "RtxBuilderConfig": "IBuilderConfig",
    "Runtime": "Runtime",
    "TimingCache": "ITimingCache",
}
ENUMS = {
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "BuilderFlag": ("TF32", "SPARSE_WEIGHTS"),
    "MemoryPoolType": ("WORKSPACE",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
    "DataType": ("BOOL", "INT8", "UINT8", "INT32", "INT64", "HALF", "FLOAT"),
    "ComputeCapability": ("SM75", "SM80", "SM86", "SM89", "SM120"),
}


@pytest.fixture(scope="module")
def rtx() -> Any:
    row = find("tensorrt_rtx")
    if row.module is None:
        pytest.skip("pip install 'edge-tx[tensorrt-rtx]'")
    return tensorrt_api.load(row)


def test_every_protocol_is_checked() -> None:
    protocols = {
        name
        for name, value in vars(tensorrt_api).items()
        if inspect.isclass(value) and getattr(value, "_is_protocol", False) and name != "Api"
    }
    assert protocols - {"Protocol"} == FACADE.keys()


@pytest.mark.parametrize("name", FACADE)
def test_facade_names_what_there_is(rtx: Any, name: str) -> None:
    protocol, real = getattr(tensorrt_api, name), getattr(rtx, FACADE[name])
    wanted = {n for n in (*vars(protocol), *protocol.__annotations__) if not n.startswith("_")}
    wanted |= {"__len__"} & vars(protocol).keys()
    assert wanted
    assert {n for n in wanted if not hasattr(real, n)} == set()


@pytest.mark.parametrize("name", FACADE)
def test_facade_names_arguments_as_they_are(rtx: Any, name: str) -> None:
    protocol, real = getattr(tensorrt_api, name), getattr(rtx, FACADE[name])
    for method, function in vars(protocol).items():
        if not inspect.isfunction(function) or method.startswith("_"):
            continue
        ours = list(inspect.signature(function).parameters)[1:]
        signatures = re.findall(rf"{method}\(self: [\w.]+(.*?)\) ->", getattr(real, method).__doc__)
        theirs = [re.findall(r", (\w+):", signature) for signature in signatures]
        assert any(ours == names[: len(ours)] for names in theirs), (method, ours, theirs)


def test_dims_are_what_the_facade_says(rtx: Any) -> None:
    assert tuple(rtx.Dims((-1, 384))) == (-1, 384)
    assert len(rtx.Dims((-1, 384))) == 2


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_members_that_are_used(rtx: Any, name: str) -> None:
    assert [m for m in ENUMS[name] if not hasattr(getattr(rtx, name), m)] == []


@needs_rtx
@needs_onnx
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_an_engine_is_built_without_a_gpu(
    onnx_graph: Callable[..., Path], tmp_path: Path, half: bool
) -> None:
    entry = onnx_graph(half=half)
    request = Request(
        backend="tensorrt_rtx",
        onnx=str(entry),
        profiles=read(entry.parent / "profiles.json"),
        settings=Settings(workspace_bytes=64 << 20, optimization_level=0),
        engine=str(tmp_path / "engine"),
        compute_capability=89,
    )
    answer = run(request)
    assert (answer.unsupported, answer.failure) == ((), "")
    assert answer.engine_bytes == (tmp_path / "engine").stat().st_size > 1000
    assert answer.layers > 5
    assert answer.version.startswith("1.")


@needs_rtx
@needs_onnx
def test_a_node_that_is_refused_is_named(onnx_graph: Callable[..., Path]) -> None:
    entry = onnx_graph(operator="Det")
    answer = trial("tensorrt_rtx", entry, entry.parent / "profiles.json", 89)
    assert answer.engine_bytes == 0
    assert any("Det 'bend'" in line for line in answer.unsupported)


@needs_rtx
@needs_onnx
def test_mixed_types_are_refused(onnx_graph: Callable[..., Path]) -> None:
    import onnx

    entry = onnx_graph(half=True)
    model = onnx.load(entry)
    model.graph.node[1].attribute[0].i = onnx.TensorProto.FLOAT  # the mask, times half weights
    onnx.save(model, entry)
    answer = trial("tensorrt_rtx", entry, entry.parent / "profiles.json", 89)
    assert answer.engine_bytes == 0
    assert "hide" in " ".join(answer.unsupported) + answer.failure


@needs_rtx
@needs_onnx
def test_a_gpu_that_it_does_not_know_is_told(onnx_graph: Callable[..., Path]) -> None:
    entry = onnx_graph()
    answer = trial("tensorrt_rtx", entry, entry.parent / "profiles.json", 87)
    assert "no compute capability 87; it has 75, 80, 86, 89" in answer.failure


@needs_rtx
def test_a_file_that_is_no_graph_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x00not a graph" * 40)
    (tmp_path / "profiles.json").write_text(
        '{"schema": 1, "profiles": [{"batch": {"min": 1, "opt": 1, "max": 1}, '
        '"seq": {"min": 1, "opt": 1, "max": 1}}]}'
    )
    answer = trial("tensorrt_rtx", tmp_path / "model.onnx", tmp_path / "profiles.json", 89)
    assert answer.engine_bytes == 0
    assert answer.unsupported or answer.failure


@needs_rtx
def test_a_missing_graph_is_told(tmp_path: Path) -> None:
    with pytest.raises(SessionFailed, match="cannot read"):
        run(Request("tensorrt_rtx", str(tmp_path / "gone.onnx"), ()))


def test_tensorrt_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backend, "module", None)
    with pytest.raises(MissingDependency, match=r"needs tensorrt, .* pip install tensorrt"):
        run(Request("tensorrt", "model.onnx", ()))


def test_tensorrt_that_does_not_load_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_tensorrt.py").write_text("import ctypes; ctypes.CDLL('libno-such.so')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(Backend, "module", "broken_tensorrt")
    with pytest.raises(SessionFailed, match="is installed, but does not load: libno-such"):
        tensorrt_api.load(find("tensorrt"))
