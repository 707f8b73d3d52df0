"""Each graph of an export is made by itself: real exporters, on tiny models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_tx.exporters.openvino
from edge_tx import backends
from edge_tx.backends import find
from edge_tx.bundle import Bundle
from edge_tx.errors import (
    ExportFailed,
    MissingDependency,
    ParityFailed,
    PartialExport,
    UnsupportedModel,
)
from edge_tx.exporters import pipeline
from edge_tx.exporters.progress import Step
from edge_tx.exporters.traced import Exported, ExportOptions, Traced

pytestmark = pytest.mark.export
pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")
needs_openvino = pytest.mark.skipif(
    find("openvino").module is None, reason="pip install 'edge-tx[openvino]'"
)
RTX = find("tensorrt_rtx").module is not None


@pytest.fixture(scope="module")
def bert(tiny_model: Any) -> Path:
    folder: Path = tiny_model("bert", "text-classification", shallow=True)
    return folder


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``breaks(error, *precisions)``: OpenVINO's exporter leaves half a graph there and fails."""
    works = edge_tx.exporters.openvino.export

    def install(error: Exception, *precisions: str) -> None:
        def export(traced: Traced, folder: Path, options: ExportOptions) -> Exported:
            if options.precision not in precisions:
                return works(traced, folder, options)
            (folder / "half.bin").write_bytes(b"half")
            raise error

        monkeypatch.setattr(edge_tx.exporters.openvino, "export", export)

    return install


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@needs_openvino
@pytest.mark.parametrize(
    "error", [ExportFailed("no luck"), UnsupportedModel("not this one"), ParityFailed("off")]
)
def test_one_failure_does_not_lose_the_others(
    bert: Path, tmp_path: Path, breaks: Callable[..., None], error: Exception
) -> None:
    breaks(error, "fp16")
    steps: list[Step] = []
    with pytest.raises(PartialExport) as partial:
        pipeline.export(
            bert,
            tmp_path / "out",
            to="openvino",
            precision="fp16,fp32",
            progress=steps.append,
        )
    assert [(f.name, f.error) for f in partial.value.failures] == [("openvino-fp16", error)]
    assert "holds openvino-fp32 only" in str(partial.value)
    assert str(error) in str(partial.value)
    with partial.value.bundle as bundle:
        assert [graph.name for graph in bundle.graphs] == ["openvino-fp32"]
        bundle.check()
    assert sorted(p.name for p in (tmp_path / "out/graphs").iterdir()) == ["openvino-fp32"]
    last = {state.name: (state.state, state.note) for state in steps[-1].targets}
    assert last == {"openvino-fp16": ("failed", str(error)), "openvino-fp32": ("proven", "")}
    assert steps[-1].done == steps[-1].total


@needs_openvino
def test_when_all_fail_the_old_bundle_stays(
    bert: Path, tmp_path: Path, breaks: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    pipeline.export(bert, out, to="openvino").close()
    before = contents(out)
    breaks(ExportFailed("no luck"), "fp32", "fp16")
    with pytest.raises(ExportFailed, match=r"^no luck$"):
        pipeline.export(bert, out, to="openvino")
    told = r"nothing was written: openvino-fp32: no luck; openvino-fp16: no luck"
    with pytest.raises(ExportFailed, match=told):
        pipeline.export(bert, out, to="openvino", precision="fp32,fp16")
    assert contents(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@needs_openvino
def test_absent_vendor_loses_only_its_own_graph(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = backends._is_installed
    monkeypatch.setattr(backends, "_is_installed", lambda m: m != "onnxruntime" and there(m))
    with pytest.raises(PartialExport) as partial:
        pipeline.export(bert, tmp_path / "out", to="onnx,openvino")
    [failed] = partial.value.failures
    assert isinstance(failed.error, MissingDependency)
    assert [graph.name for graph in partial.value.bundle.graphs] == ["openvino-fp32"]
    with pytest.raises(MissingDependency, match="pip install onnxruntime"):
        pipeline.export(bert, tmp_path / "out", to="onnx")


@needs_openvino
def test_bucket_that_one_backend_cannot_have_loses_only_its_graph(
    tiny_sentence_model: Any, tmp_path: Path
) -> None:
    """A single length of 32 tokens looks like a vector of 32 numbers to TFLite."""
    pytest.importorskip("litert_torch", reason="pip install 'edge-tx[export-tflite]'")
    with pytest.raises(PartialExport, match="told from the output") as partial:
        model = tiny_sentence_model()
        pipeline.export(model, tmp_path / "out", to="openvino,tflite", buckets="1x32")
    [graph] = partial.value.bundle.graphs
    assert graph.name == "openvino-fp32"
    assert partial.value.bundle.manifest.tokenizer.max_length == 32


@pytest.fixture(scope="module")
def packaged(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of TensorRT packages alone, with shapes that fit the texts."""
    out = tmp_path_factory.mktemp("packaged") / "bert.bundle"
    texts = ["one two three", "one two three four five six"] * 4
    to = "tensorrt:fp16,tensorrt_rtx"
    exported = pipeline.export(bert, out, to=to, texts=texts, buckets="auto", max_length=64)
    exported.close()
    return out


def test_tensorrt_is_proven_where_it_cannot_run(packaged: Path) -> None:
    with Bundle.open(packaged) as bundle:
        assert [graph.name for graph in bundle.graphs] == ["tensorrt-fp16", "tensorrt_rtx-fp32"]
        for graph in bundle.graphs:
            assert graph.checks["parity"].startswith("onnxruntime ")
            assert graph.checks["parity"].endswith(", CPUExecutionProvider")
            told = "passed with TensorRT-RTX 1.7" if RTX else "not run: TensorRT-RTX is not"
            assert graph.checks["preflight"].startswith(told)


def test_profiles_fit_the_users_texts(packaged: Path) -> None:
    from edge_tx.runtimes.tensorrt_profiles import read

    profiles = read(packaged / "graphs/tensorrt-fp16/profiles.json")
    *short, longest, many = [(p.batch.max, p.seq.max) for p in profiles]
    assert (longest, many) == ((1, 64), (32, 64))
    assert len(short) == 2  # the texts have two lengths
    assert all(rows == 1 and tokens % 8 == 0 and tokens < 64 for rows, tokens in short)


def test_half_precision_that_does_not_hold_is_refused_with_its_worst_case(
    tiny_model: Any, tmp_path: Path
) -> None:
    """MobileBERT's activations leave the range of fp16."""
    model = tiny_model("mobilebert", "text-classification")
    with pytest.raises(ParityFailed, match=r"tensorrt-fp16 .*(error|NaN).* for '") as failure:
        pipeline.export(model, tmp_path / "out", to="tensorrt:fp16")
    assert "\n" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []
