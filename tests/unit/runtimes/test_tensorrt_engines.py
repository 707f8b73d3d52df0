"""Building a bundle's engines, with TensorRT-RTX's real builder and without a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edge_tx.backends import Backend, find, open_session
from edge_tx.bundle import Bundle
from edge_tx.cli.build import command
from edge_tx.errors import (
    DeviceUnavailable,
    EdgeTxError,
    InvalidConfig,
    MissingDependency,
    UnknownName,
)
from edge_tx.runtimes import cuda, tensorrt_api, tensorrt_build
from edge_tx.runtimes.tensorrt_build import Settings
from edge_tx.runtimes.tensorrt_engines import BuildOptions, Built, build

pytest.importorskip("onnx", reason="the graph is made by hand with onnx")
needs_rtx = pytest.mark.skipif(
    find("tensorrt_rtx").module is None, reason="pip install 'edge-tx[tensorrt-rtx]'"
)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda, "_LIBRARY", "libno-gpu-in-this-test.so")
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bundle(engine_bundle: Callable[..., Path]) -> Iterator[Bundle]:
    with Bundle.open(engine_bundle("tensorrt_rtx")) as opened:
        yield opened


def ada(bundle: Bundle, **options: object) -> Built:
    given = BuildOptions(compute_capabilities=(89,), **options)  # type: ignore[arg-type]
    (built,) = build(bundle, bundle.graphs[0], given)
    return built


@needs_rtx
def test_an_engine_is_built_once_and_says_that_it_is_unproven(bundle: Bundle) -> None:
    first = ada(bundle)
    assert not first.reused
    assert first.path.stat().st_size == first.record.size > 1000
    assert first.record.target.compute_capability == 89
    assert first.record.proof is None
    assert "no sm_89 GPU here" in first.note
    again = ada(bundle)
    assert again.reused
    assert again.record == first.record


@needs_rtx
def test_a_damaged_engine_is_built_anew(bundle: Bundle) -> None:
    first = ada(bundle)
    first.path.write_bytes(b"not what was built")
    again = ada(bundle)
    assert not again.reused
    assert again.path.stat().st_size == again.record.size


@needs_rtx
def test_force_and_other_settings_build_anew(bundle: Bundle) -> None:
    ada(bundle)
    assert not ada(bundle, force=True).reused
    assert not ada(bundle, settings=Settings(workspace_bytes=32 << 20)).reused


@needs_rtx
def test_several_generations_give_several_engines(bundle: Bundle) -> None:
    engines = build(bundle, bundle.graphs[0], BuildOptions(compute_capabilities=(86, 120)))
    assert [e.record.target.compute_capability for e in engines] == [86, 120]
    assert len({e.path for e in engines}) == 2


@needs_rtx
def test_without_a_gpu_one_must_be_named(bundle: Bundle) -> None:
    with pytest.raises(DeviceUnavailable, match="no NVIDIA driver here"):
        build(bundle, bundle.graphs[0], BuildOptions())


@needs_rtx
def test_an_engine_does_not_open_without_a_gpu(bundle: Bundle) -> None:
    ada(bundle)
    with pytest.raises(DeviceUnavailable, match="no NVIDIA driver here"):
        open_session("tensorrt_rtx", bundle.entry(bundle.graphs[0]))


@needs_rtx
def test_a_generation_that_rtx_does_not_know_is_told(bundle: Bundle) -> None:
    with pytest.raises(EdgeTxError, match="no compute capability 87; it has 75, 80"):
        build(bundle, bundle.graphs[0], BuildOptions(compute_capabilities=(87,)))
    assert not list((bundle.root.parent / "cache/engines").glob("*/*"))


def test_tensorrt_builds_for_no_gpu_that_is_not_here(
    engine_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "module", "numpy")
    monkeypatch.setattr(tensorrt_api, "load", lambda _row: SimpleNamespace(__version__="10.3.0"))
    with (
        Bundle.open(engine_bundle("tensorrt")) as opened,
        pytest.raises(InvalidConfig, match="builds on the GPU it is for"),
    ):
        build(opened, opened.graphs[0], BuildOptions(compute_capabilities=(87,)))


def test_a_missing_tensorrt_is_told(
    engine_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "module", None)
    with (
        Bundle.open(engine_bundle("tensorrt")) as opened,
        pytest.raises(MissingDependency, match="needs tensorrt"),
    ):
        build(opened, opened.graphs[0], BuildOptions())


@needs_rtx
def test_a_crash_of_the_builder_leaves_no_engine(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "crashing_builder.py").write_text("import ctypes; ctypes.string_at(0)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tensorrt_build, "_MODULE", "crashing_builder")
    with pytest.raises(EdgeTxError, match=r"building tensorrt_rtx-fp32 .* killed by SIGSEGV"):
        ada(bundle)
    assert list((tmp_path / "cache/engines").iterdir()) == []


@pytest.mark.parametrize("settings", [Settings(-1), Settings(optimization_level=6)])
def test_settings_that_make_no_sense_are_refused(settings: Settings) -> None:
    with pytest.raises(InvalidConfig):
        BuildOptions(settings=settings)


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, args)
    if isinstance(done.exception, EdgeTxError):
        raise done.exception
    return done.exit_code, done.stdout


@needs_rtx
def test_the_verb_builds_and_reports(bundle: Bundle, tmp_path: Path) -> None:
    here = ("--cache-dir", str(tmp_path / "mine"), "--compute-capability", "89")
    code, out = run(str(bundle.root), "--json", "--quiet", *here)
    (engine,) = json.loads(out)["engines"]
    assert code == 0
    assert engine["graph"] == "tensorrt_rtx-fp32"
    assert not engine["reused"]
    assert Path(engine["path"]).is_relative_to(tmp_path / "mine")
    code, out = run(str(bundle.root), "--quiet", *here)
    assert code == 0
    assert "was there" in out
    assert "not run" in out


def test_the_verb_refuses_what_there_is_not(bundle: Bundle) -> None:
    with pytest.raises(UnknownName, match="unknown graph"):
        run(str(bundle.root), "--graph", "tensorrt-fp16")


def test_the_verb_refuses_graphs_that_run_as_they_are(engine_bundle: Callable[..., Path]) -> None:
    with pytest.raises(InvalidConfig, match=r"nothing to build: onnx-fp32 runs as it is"):
        run(str(engine_bundle("onnx")))
