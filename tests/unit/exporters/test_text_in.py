"""Graphs with their tokenizer inside: right answers, or nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_tx import text_in as card
from edge_tx.bundle import Bundle
from edge_tx.errors import (
    BundleCorrupt,
    BundleTooNew,
    InvalidConfig,
    MissingDependency,
    ParityFailed,
    UnknownName,
    UnsupportedModel,
)
from edge_tx.exporters import text_in
from edge_tx.exporters.text_in_texts import HARD

pytestmark = pytest.mark.export

Make = Callable[..., Bundle]


@pytest.fixture(scope="module")
def made(tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """``made(family, task, backend) -> bundle`` of a tiny model, exported once."""
    import edge_tx

    done: dict[tuple[str, str, str], Bundle] = {}

    def make(family: str, task: str, backend: str) -> Bundle:
        key = (family, task, backend)
        if key not in done:
            folder = tmp_path_factory.mktemp("bundle") / "tiny"
            model = tiny_model(family, task, shallow=True)
            done[key] = edge_tx.export(model, folder, task=task, to=backend)
        return done[key]

    return make


@pytest.fixture
def openvino(made: Make, tmp_path: Path) -> text_in.Packed:
    pytest.importorskip("openvino_tokenizers", reason="pip install '.[text-in-openvino]'")
    bundle = made("bert", "text-classification", "openvino")
    return text_in.pack(bundle, tmp_path / "out", "openvino")


def test_openvino_takes_strings(openvino: text_in.Packed) -> None:
    import openvino as ov
    import openvino_tokenizers

    assert openvino_tokenizers.__version__
    assert openvino.asked > 5
    assert openvino.size == sum(path.stat().st_size for path in openvino.folder.iterdir())
    # Where a CPU has bfloat16, OpenVINO computes in it unless told otherwise.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(str(openvino.entry), "CPU", exact)
    _, golden, _ = card.exam(openvino.folder)
    for case in golden.cases:
        got = model([case.input])["logits"][0]
        np.testing.assert_allclose(got, case.rows[0].outputs["logits"].values, atol=1e-3)


def test_the_card_says_what_it_is(openvino: text_in.Packed) -> None:
    told = json.loads((openvino.folder / card.CARD).read_text(encoding="utf-8"))
    assert told["kind"] == "openvino"
    assert told["task"] == "text-classification"
    assert told["hard"]["different"] == list(openvino.different)
    name, golden, parity = card.exam(openvino.folder)
    assert name == "openvino-fp32"
    assert len(golden.cases) == openvino.asked
    assert all(isinstance(case.input, str) for case in golden.cases)
    assert parity.max_abs_error < 1e-3


def test_a_damaged_folder_is_no_exam(openvino: text_in.Packed) -> None:
    graph = openvino.folder / "model.bin"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleCorrupt, match="is damaged"):
        card.exam(openvino.folder)
    graph.write_bytes(whole)
    path = openvino.folder / card.CARD
    path.write_text(path.read_text(encoding="utf-8").replace('"schema": 1', '"schema": 2'))
    with pytest.raises(BundleTooNew, match="schema 2"):
        card.exam(openvino.folder)


def test_its_own_folder_is_replaced_and_no_other(
    openvino: text_in.Packed, made: Make, tmp_path: Path
) -> None:
    bundle = made("bert", "text-classification", "openvino")
    assert text_in.pack(bundle, openvino.folder, "openvino").asked == openvino.asked
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InvalidConfig, match="it is not replaced"):
        text_in.pack(bundle, tmp_path / "mine", "openvino")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (openvino.folder / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InvalidConfig, match="it is not replaced"):
        text_in.pack(bundle, openvino.folder, "openvino")


def test_onnx_is_exact_for_byte_level_bpe(made: Make, tmp_path: Path) -> None:
    extensions = pytest.importorskip(
        "onnxruntime_extensions", reason="pip install '.[text-in-onnx]'"
    )
    import onnxruntime

    bundle = made("roberta", "text-classification", "onnx")
    packed = text_in.pack(bundle, tmp_path / "out", "onnx")
    assert packed.different == ()
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(extensions.get_library_path())
    session = onnxruntime.InferenceSession(str(packed.entry), options)
    tokenizer = bundle.tokenizer()
    for text in ("", "A text.", "word " * 2000):
        [ids] = session.run(["input_ids"], {"text": np.array([text])})
        assert ids[0].tolist() == tokenizer.encode([text])[0].ids


def test_onnx_is_refused_where_it_is_not_exact(made: Make, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime_extensions", reason="pip install '.[text-in-onnx]'")
    with pytest.raises(ParityFailed, match=r"nothing is written"):
        text_in.pack(made("bert", "text-classification", "onnx"), tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnsupportedModel, match="no operator that reads Unigram"):
        text_in.pack(made("xlm-roberta", "text-classification", "onnx"), tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_asked_for(made: Make, tmp_path: Path) -> None:
    bundle = made("bert", "text-classification", "onnx")
    with pytest.raises(UnknownName, match="string-in graph"):
        text_in.pack(bundle, tmp_path / "out", "coreml")
    with pytest.raises(UnknownName, match="backend in this bundle"):
        text_in.pack(bundle, tmp_path / "out", "openvino")
    with pytest.raises(InvalidConfig, match="leave the length out"):
        text_in.pack(bundle, tmp_path / "out", "onnx", length=8)


class TestMediaPipe:
    @pytest.fixture(scope="class")
    def bundle(
        self, tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
    ) -> Bundle:
        pytest.importorskip("litert_torch", reason="pip install litert-torch")
        import edge_tx

        model = tiny_model("bert", "text-classification", shallow=True)
        folder = tmp_path_factory.mktemp("bundle") / "tiny"
        return edge_tx.export(
            model, folder, task="text-classification", to="tflite", buckets=[(1, 32), (1, 64)]
        )

    def test_one_shape_with_scores(
        self, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file itself, by LiteRT; MediaPipe reads it where there is one."""
        from ai_edge_litert.interpreter import Interpreter

        from edge_tx.exporters import text_in_mediapipe

        monkeypatch.setattr(text_in_mediapipe, "_python", lambda: "not asked here")
        entry = tmp_path / "model.tflite"
        part = text_in.Part(bundle, bundle.graph(), 32)
        assert text_in_mediapipe.write(part, entry).length == 32
        interpreter = Interpreter(model_path=str(entry))
        [name] = interpreter.get_signature_list()
        run = interpreter.get_signature_runner(name)
        row = np.zeros((1, 32), np.int32)
        mask = row.copy()
        mask[:, :3] = 1
        [scores] = run(ids=row, mask=mask, segment_ids=row).values()
        assert scores.sum() == pytest.approx(1, abs=1e-5)
        assert entry.stat().st_size < bundle.graph().size + 100_000

    def test_a_length_it_does_not_have_is_named(self, bundle: Bundle, tmp_path: Path) -> None:
        from edge_tx.exporters import text_in_mediapipe

        part = text_in.Part(bundle, bundle.graph(), 48)
        with pytest.raises((InvalidConfig, MissingDependency), match=r"48 tokens|MediaPipe"):
            text_in_mediapipe.write(part, tmp_path / "model.tflite")


@pytest.fixture
def ranking(made: Make, tmp_path: Path) -> text_in.Packed:
    pytest.importorskip("openvino_tokenizers", reason="pip install '.[text-in-openvino]'")
    return text_in.pack(made("bert", "text-ranking", "openvino"), tmp_path / "out", "openvino")


def test_openvino_takes_pairs_where_the_task_does(ranking: text_in.Packed) -> None:
    import openvino as ov
    import openvino_tokenizers

    assert openvino_tokenizers.__version__
    told = json.loads((ranking.folder / card.CARD).read_text(encoding="utf-8"))
    assert told["pair"] is True
    assert told["hard"]["asked"] == 2 * len(HARD) + 5
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(str(ranking.entry), "CPU", exact)
    _, golden, _ = card.exam(ranking.folder)
    assert len(golden.cases) == ranking.asked > 5
    for case in golden.cases:
        query, document = case.input
        got = model({"text": [query], "pair": [document]})["logits"][0]
        np.testing.assert_allclose(got, case.rows[0].outputs["logits"].values, atol=1e-3)


def test_a_batch_is_answered_as_its_rows_are(openvino: text_in.Packed) -> None:
    import openvino as ov
    import openvino_tokenizers

    assert openvino_tokenizers.__version__
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(str(openvino.entry), "CPU", exact)
    _, golden, _ = card.exam(openvino.folder)
    texts = [case.input for case in golden.cases]
    alone = np.concatenate([model({"text": [text]})["logits"] for text in texts])
    np.testing.assert_allclose(model({"text": texts})["logits"], alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["onnx", "mediapipe"])
def test_pairs_are_refused_where_the_tokenizer_takes_none(
    kind: str, made: Make, tmp_path: Path
) -> None:
    bundle = made("bert", "text-ranking", "openvino")
    with pytest.raises(UnsupportedModel, match=r"text-ranking needs more .* sentence-embedding"):
        text_in.pack(bundle, tmp_path / "out", kind)
