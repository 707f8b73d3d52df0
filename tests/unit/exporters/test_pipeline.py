"""The export flow on tiny models: every family, every task, and everything that is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edge_tx.exporters.onnx
from edge_tx.backends import open_session
from edge_tx.bundle import Bundle
from edge_tx.errors import InvalidConfig, InvalidInput, ParityFailed, UnknownName
from edge_tx.exporters import pipeline
from edge_tx.exporters.parity import Budget
from edge_tx.exporters.progress import Step
from edge_tx.exporters.routes import FAMILIES
from edge_tx.exporters.traced import Exported, ExportOptions, Traced

# Each family with another task, so that all tasks are met too.
_TASKS = {
    "albert": "sentence-embedding",
    "camembert": "token-classification",
    "deberta-v2": "zero-shot-classification",
    "distilbert": "question-answering",
    "electra": "feature-extraction",
    "mobilebert": "text-classification",
    "modernbert": "fill-mask",
    "mpnet": "sentence-embedding",
    "roberta": "fill-mask",
    "xlm-roberta": "text-ranking",
}
_BERT_TASKS = (
    "sentence-embedding",
    "feature-extraction",
    "text-classification",
    "text-ranking",
    "token-classification",
    "question-answering",
    "fill-mask",
    "zero-shot-classification",
)
_CASES = [*_TASKS.items(), *(("bert", task) for task in _BERT_TASKS)]


def test_every_family_of_the_table_is_exported_here() -> None:
    assert {family for family, _ in _CASES} == set(FAMILIES)


@pytest.mark.export
@pytest.mark.parametrize(("family", "task"), _CASES)
def test_bundle_is_exact(family: str, task: str, tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model(family, task, shallow=True)
    with pipeline.export(model, tmp_path / "out", task=task) as bundle:
        graph = bundle.graph("onnx")
        assert bundle.manifest.task == task
        assert graph.route == FAMILIES[family].route
        assert graph.parity.texts >= 12
        assert graph.parity.max_abs_error < 1e-4
        assert graph.parity.agreement == 1.0
        assert len(bundle.golden().cases) == 12
        assert {s.shape for s in graph.inputs} == {("batch", "seq")}
        assert all(s.shape[0] == "batch" for s in graph.outputs)


@pytest.fixture(scope="module")
def bert(tiny_model: Any) -> Path:
    folder: Path = tiny_model("bert", "text-classification", shallow=True)
    return folder


@pytest.fixture(scope="module")
def bundle(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "bert"
    edge_tx.export(bert, out)
    return out


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _sabotage(monkeypatch: pytest.MonkeyPatch, good: Path, value: float) -> None:
    """Makes the exporter write a graph with another weight than the reference's."""

    def export(traced: Traced, folder: Path, options: ExportOptions) -> Exported:
        model = onnx.load(good)
        weight = next(w for w in model.graph.initializer if w.dims == [32, 48])
        array = onnx.numpy_helper.to_array(weight).copy()
        array[0, 0] += value
        weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
        onnx.save(model, folder / "model.onnx")
        return Exported(folder / "model.onnx", "fp32", "sabotage")

    monkeypatch.setattr(edge_tx.exporters.onnx, "export", export)


@pytest.mark.export
@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_sabotaged_graph_is_refused_and_the_old_bundle_stays(
    value: float, bert: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _hashes(bundle)
    beside = sorted(bundle.parent.iterdir())
    _sabotage(monkeypatch, bundle / "graphs/onnx-fp32/model.onnx", value)
    with pytest.raises(ParityFailed, match="onnx-fp32") as failure:
        edge_tx.export(bert, bundle)
    assert "\n" not in str(failure.value)
    assert ("NaN or infinity" in str(failure.value)) == (not np.isfinite(value))
    assert _hashes(bundle) == before
    assert sorted(bundle.parent.iterdir()) == beside
    Bundle.open(bundle).check()


@pytest.mark.export
def test_sabotaged_graph_leaves_nothing_at_a_new_place(
    bert: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sabotage(monkeypatch, bundle / "graphs/onnx-fp32/model.onnx", 0.5)
    with pytest.raises(ParityFailed):
        edge_tx.export(bert, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.export
def test_packed_bundle_own_texts_progress_and_silence(
    bert: Path, tmp_path: Path, capfd: Any, recwarn: Any
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('"one text"\n["a", "pair"]\n\n', encoding="utf-8")
    seen: list[Step] = []
    out = tmp_path / "out.etx"
    with edge_tx.export(bert, out, texts=texts, progress=seen.append) as bundle:
        assert bundle.graph().parity.texts == 2
        assert [case.input for case in bundle.golden().cases] == ["one text", ["a", "pair"]]
    assert out.is_file()
    total = seen[0].total
    assert [step.done for step in seen] == list(range(total + 1))
    assert {step.total for step in seen} == {total}
    states = [step.targets[0].state for step in seen]
    assert list(dict.fromkeys(states)) == ["waiting", "exporting", "checking", "proven"]
    assert capfd.readouterr() == ("", "")
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.export
def test_bundle_runs_in_a_session(bundle: Path) -> None:
    with Bundle.open(bundle) as opened:
        graph = opened.graph()
        session = open_session(graph.backend, opened.entry(graph))
        assert session.inputs == graph.inputs
        assert session.outputs == graph.outputs
        session.close()


def _never_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_tx.exporters import source

    def load(*args: Any, **kwargs: Any) -> Traced:
        raise AssertionError("the checkpoint was loaded before the options were checked")

    monkeypatch.setattr(source, "load", load)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"to": ("onxx",)}, UnknownName, "did you mean 'onnx'"),
        ({"to": ()}, InvalidConfig, "at least one backend"),
        ({"to": ("onnx", "onnx")}, InvalidConfig, "named twice: onnx-fp32"),
        ({"to": "onnx,openvino:fp16,openvino:fp16"}, InvalidConfig, "named twice: openvino-fp16"),
        ({"to": "openvino:fp61"}, UnknownName, "did you mean 'fp16'"),
        ({"to": "onnx,openvino", "precision": "fp16"}, UnknownName, "precision of onnx 'fp16'"),
        ({"opset": 12}, InvalidConfig, "opset must be"),
        ({"to": "tflite", "opset": 18}, InvalidConfig, "opset: no exporter to tflite takes it"),
        ({"buckets": "1x32"}, InvalidConfig, "buckets: no exporter to onnx takes it"),
        ({"buckets": "auto"}, InvalidConfig, "buckets: no exporter to onnx takes it"),
        ({"to": "tensorrt", "buckets": "auto"}, InvalidConfig, "give texts too"),
        ({"to": "tensorrt", "buckets": "32"}, InvalidConfig, "bucket '32' is not ROWSxTOKENS"),
        ({"to": "tensorrt", "buckets": [(0, 8)]}, InvalidConfig, "not 0x8"),
        (
            {"to": "tensorrt", "buckets": "1x64", "max_length": 32},
            InvalidConfig,
            "buckets of up to 32 tokens",
        ),
        ({"to": ("fake",)}, InvalidConfig, "no exporter"),
        ({"task": "nerr"}, UnknownName, "task 'nerr'"),
        ({"route": "torch-dynamite"}, UnknownName, "did you mean 'torch-dynamo'"),
        ({"texts": []}, InvalidInput, "at least one"),
        ({"texts": "no/such/file.txt"}, InvalidInput, "no/such/file.txt"),
    ],
)
def test_options_are_checked_before_the_slow_part(
    options: dict[str, Any],
    error: type[Exception],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _never_loads(monkeypatch)
    with pytest.raises(error, match=says):
        pipeline.export("model", tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_place_is_checked_before_the_slow_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _never_loads(monkeypatch)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidConfig, match="not a bundle"):
        pipeline.export("model", tmp_path / "notes")
    assert (tmp_path / "notes" / "diary.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe", "not UTF-8"), (b'"ok"\n{oops\n', "line 2 is not JSON"), (b"\n\n", "at least")],
)
def test_bad_text_files(
    content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _never_loads(monkeypatch)
    file = tmp_path / "texts.jsonl"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        pipeline.export("model", tmp_path / "out", texts=file)


@pytest.mark.parametrize(
    "numbers", [{"max_abs_error": 0}, {"min_cosine": 2}, {"min_agreement": -0.1}]
)
def test_budget_refuses_nonsense(numbers: dict[str, float]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(numbers))):
        Budget(**numbers)


@pytest.mark.export
def test_golden_answers_are_the_references(bundle: Path) -> None:
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    assert all(case["result"]["labels"] for case in golden["cases"])
