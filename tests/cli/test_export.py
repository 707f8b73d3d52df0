"""``edge-tx export`` to several backends, ``build``, and graphs that cannot run here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_tx as package
from edge_tx.backends import find
from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.errors import DeviceUnavailable, MissingDependency
from edge_tx.runtimes.cuda import Cuda
from edge_tx.vendors import obstacle

Call = Callable[..., Any]


def has_gpu() -> bool:
    try:
        Cuda.open().close()
    except DeviceUnavailable:
        return False
    return True


without_gpu = pytest.mark.skipif(has_gpu(), reason="is about machines without an NVIDIA GPU")
needs_rtx = pytest.mark.skipif(
    find("tensorrt_rtx").module is None, reason="pip install 'edge-tx[tensorrt-rtx]'"
)


@pytest.fixture
def mixed(fake_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle with a graph that runs here, and a TensorRT package that does not."""
    runs = Bundle.open(fake_bundle("text-classification"))
    graph = runs.graphs[0]
    with BundleWriter(tmp_path / "mixed") as writer:
        for backend in ("tensorrt_rtx", "fake"):
            folder = writer.graph_folder(f"{backend}-fp32")
            entry = folder / "model.onnx"
            entry.write_bytes(runs.entry(graph).read_bytes())
            writer.add_graph(
                name=f"{backend}-fp32",
                backend=backend,
                precision="fp32",
                entry=entry,
                inputs=graph.inputs,
                outputs=graph.outputs,
                parity=graph.parity,
                checks={"parity": "onnxruntime", "preflight": "passed with TensorRT-RTX 1.7"},
            )
        writer.commit_like(runs)
    return tmp_path / "mixed"


@pytest.fixture
def packaged(mixed: Path, tmp_path: Path) -> Path:
    """Only the package."""
    both = Bundle.open(mixed)
    with BundleWriter(tmp_path / "packaged") as writer:
        writer.adopt(both)
        writer.drop_graph("fake-fp32")
        writer.commit_like(both)
    return tmp_path / "packaged"


@without_gpu
class TestGraphsThatCannotRunHere:
    def test_verify_says_so_and_does_not_count_them(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("verify", "--json", mixed)
        assert done.code == 0
        graphs = {g["graph"]: g for g in json.loads(done.out)["graphs"]}
        assert graphs["fake-fp32"]["verdict"] == "ok"
        skipped = graphs["tensorrt_rtx-fp32"]
        assert (skipped["verdict"], skipped["proof"]) == ("not run here", None)
        assert skipped["reason"]
        table = edge_tx("verify", mixed).out
        assert "not run here: tensorrt_rtx-fp32: " in table

    def test_verify_still_hashes_them(self, mixed: Path, edge_tx: Call) -> None:
        file = mixed / "graphs/tensorrt_rtx-fp32/model.onnx"
        file.write_bytes(file.read_bytes().swapcase())
        done = edge_tx("verify", "-q", mixed)
        assert done.code == 8
        assert "tensorrt_rtx-fp32/model.onnx" in done.err

    @needs_rtx
    @pytest.mark.parametrize("verb", ["verify", "bench", "run"])
    def test_alone_they_are_an_error(self, packaged: Path, edge_tx: Call, verb: str) -> None:
        done = edge_tx(verb, "-q", packaged, *(["a film"] if verb == "run" else []))
        assert (done.code, done.err.count("\n")) == (DeviceUnavailable.exit_code, 1)
        assert "no NVIDIA driver" in done.err

    def test_asked_for_by_name_they_are_an_error(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("run", "-q", "--backend", "tensorrt_rtx", mixed, "a film")
        assert done.code in (DeviceUnavailable.exit_code, MissingDependency.exit_code)

    def test_auto_passes_them_over(self, mixed: Path) -> None:
        with package.load(mixed) as model:
            described = model.describe()
        assert described.graph == "fake-fp32"
        passed_over = {c.graph: c.verdict for c in described.candidates}
        assert passed_over["tensorrt_rtx-fp32"] not in ("chosen", "later in the order")

    def test_bench_measures_the_others(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("bench", "-q", "--seconds", "0.01", "--graph", "tensorrt_rtx-fp32", mixed)
        assert done.code in (DeviceUnavailable.exit_code, MissingDependency.exit_code)
        words = " ".join(done.out.split())
        told = "packaged; preflight passed with TensorRT-RTX 1.7; engine is built on the device"
        assert f"tensorrt_rtx-fp32 {told}; not run here: " in words

    def test_other_devices_are_in_the_way_too(self, mixed: Path) -> None:
        with Bundle.open(mixed) as bundle:
            entry = bundle.entry(bundle.graphs[0])
        assert "plug-in" in str(obstacle("plug-in", entry))


class TestBuild:
    @needs_rtx
    @without_gpu
    def test_needs_a_gpu_or_a_generation(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("build", "-q", mixed)
        assert (done.code, done.err.count("\n")) == (13, 1)

    @pytest.mark.parametrize("given", ["8.6,ada", "", "8.", "8.99"])
    def test_generations_are_checked(self, mixed: Path, edge_tx: Call, given: str) -> None:
        done = edge_tx("build", "-q", mixed, "--compute-capability", given)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "write e.g. 8.6,8.9,12.0" in done.err

    def test_what_runs_as_it_is_needs_no_engine(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("build", "-q", mixed, "--backend", "fake")
        assert done.code == 2
        assert "nothing to build: fake-fp32 runs as it is" in done.err

    @pytest.mark.export
    @needs_rtx
    def test_builds_ahead_of_time_for_several_generations(
        self, edge_tx: Call, tiny_model: Any, tmp_path: Path
    ) -> None:
        pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")
        model = tiny_model("bert", "text-classification", shallow=True)
        out, cache = tmp_path / "out", tmp_path / "cache"
        to = ("--to", "tensorrt_rtx", "--buckets", "1x16")
        assert edge_tx("export", "-q", model, "-o", out, *to).code == 0
        named = ("--backend", "tensorrt_rtx", "--compute-capability", "8.6,8.9,12.0")
        done = edge_tx("build", "--json", out, *named, "--cache-dir", cache)
        assert done.code == 0, done.err
        engines = json.loads(done.out)["engines"]
        assert [e["record"]["target"]["compute_capability"] for e in engines] == [86, 89, 120]
        assert all(Path(e["path"]).stat().st_size == e["record"]["size"] for e in engines)


@pytest.mark.export
class TestExport:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")

    def test_partial_success_has_its_own_exit_code(
        self, edge_tx: Call, tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from edge_tx import backends

        there = backends._is_installed
        monkeypatch.setattr(backends, "_is_installed", lambda m: m != "openvino" and there(m))
        model = tiny_model("bert", "text-classification", shallow=True)
        out = tmp_path / "out"
        done = edge_tx("export", "--json", model, "-o", out, "--to", "onnx,openvino:fp16")
        assert done.code == 15
        record = json.loads(done.out)
        assert [graph["name"] for graph in record["graphs"]] == ["onnx-fp32"]
        [failure] = record["failures"]
        assert (failure["name"], failure["error"]) == ("openvino-fp16", "MissingDependency")
        assert "failed  openvino-fp16" in done.err
        last = done.err.splitlines()[-1]
        assert last.startswith("edge-tx: error: ")
        assert "pip install openvino" in last
        assert edge_tx("verify", "-q", out).code == 0

    def test_everything_wrong_is_one_line(self, edge_tx: Call, tmp_path: Path) -> None:
        done = edge_tx("export", "-q", "m", "-o", tmp_path / "out", "--to", "onnx:fp16")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "unknown precision of onnx 'fp16'" in done.err


class TestVendorOptions:
    @pytest.mark.parametrize("verb", ["run", "verify", "bench"])
    def test_they_go_with_a_backend(self, mixed: Path, edge_tx: Call, verb: str) -> None:
        done = edge_tx(verb, "-q", mixed, "--backend-option", "CACHE_DIR=x")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "name the backend too" in done.err

    def test_a_word_without_a_value_is_refused(self, mixed: Path, edge_tx: Call) -> None:
        done = edge_tx("verify", "-q", mixed, "--backend", "fake", "--backend-option", "CACHE")
        assert (done.code, done.err.count("\n")) == (11, 1)

    @pytest.mark.export
    def test_they_reach_the_vendor(self, edge_tx: Call, tiny_model: Any, tmp_path: Path) -> None:
        pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")
        if find("openvino").module is None:
            pytest.skip("pip install 'edge-tx[openvino]'")
        model = tiny_model("bert", "text-classification", shallow=True)
        out, cache = tmp_path / "out", tmp_path / "cache"
        assert edge_tx("export", "-q", model, "-o", out, "--to", "openvino").code == 0
        with package.load(out, "openvino", options={"CACHE_DIR": str(cache)}) as opened:
            assert opened("a text").label
        assert list(cache.glob("*.blob"))
        words = ("--backend", "openvino", "--backend-option", "NO_SUCH=1")
        done = edge_tx("verify", "-q", out, *words)
        assert done.code == 14
        assert "NO_SUCH" in done.err
