"""Packed files, with MediaPipe itself as the client."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.errors import UnsupportedModel
from edge_tx.runtimes.mediapipe_text import prepare

pytest.importorskip("litert_torch", reason="pip install litert-torch")

pytestmark = pytest.mark.export

_CLIENT = """
import json, sys
from mediapipe.tasks import python as mp
from mediapipe.tasks.python import text

base = mp.BaseOptions(model_asset_path=sys.argv[2])
texts = json.load(open(sys.argv[3], encoding="utf-8"))
if sys.argv[1] == "TextEmbedder":
    options = text.TextEmbedderOptions(base_options=base)
    with text.TextEmbedder.create_from_options(options) as client:
        answers = [client.embed(t).embeddings[0].embedding.tolist() for t in texts]
else:
    options = text.TextClassifierOptions(base_options=base)
    with text.TextClassifier.create_from_options(options) as client:
        answers = [
            {c.category_name: c.score for c in client.classify(t).classifications[0].categories}
            for t in texts
        ]
json.dump(answers, open(sys.argv[4], "w", encoding="utf-8"))
"""


@pytest.fixture(scope="module")
def mediapipe() -> str:
    """A Python that has MediaPipe: this one, or that of EDGE_TX_MEDIAPIPE_PYTHON."""
    if importlib.util.find_spec("mediapipe") is not None:
        return sys.executable
    python = os.environ.get("EDGE_TX_MEDIAPIPE_PYTHON")
    if not python:
        pytest.skip("pip install mediapipe, or name a Python by EDGE_TX_MEDIAPIPE_PYTHON")
    return python


def ask(python: str, kind: str, entry: Path, texts: list[str], folder: Path) -> Any:
    given, got = folder / "given.json", folder / "got.json"
    given.write_text(json.dumps(texts), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", _CLIENT, kind, str(entry), str(given), str(got)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(got.read_text(encoding="utf-8"))


def test_embedder_is_sentence_transformers(
    mediapipe: str, minilm_path: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    from edge_tx.exporters import source, tflite_mediapipe
    from edge_tx.exporters.texts import TEXTS

    texts = [text for text in TEXTS if text.strip()]
    made = tflite_mediapipe.export(source.load(minilm_path), tmp_path, length=128)
    prepared = [prepare(text) for text in texts]
    got = np.array(ask(mediapipe, "TextEmbedder", made.entry, prepared, tmp_path))
    oracle = SentenceTransformer(str(minilm_path), device="cpu")
    oracle.max_seq_length = 128
    wanted = oracle.encode(texts, normalize_embeddings=True)
    cosines = (got * wanted).sum(axis=1) / np.linalg.norm(got, axis=1)
    assert cosines.min() >= 0.999


def test_classifier_gives_labels_and_scores(
    mediapipe: str, tiny_model: Any, tmp_path: Path
) -> None:
    import torch

    from edge_tx.exporters import source, tflite_mediapipe
    from edge_tx.text import Row, Tokenizer, collate

    task = "text-classification"
    traced = source.load(tiny_model("bert", task, shallow=True), task=task)
    made = tflite_mediapipe.export(traced, tmp_path, length=32)
    texts = ["A short text.", "Another one, with more words in it."]
    got = ask(mediapipe, "TextClassifier", made.entry, [prepare(t) for t in texts], tmp_path)
    rows = [
        Row(i, e.ids, e)
        for i, e in enumerate(Tokenizer(traced.tokenizer_json, traced.policy).encode(texts))
    ]
    logits = traced.reference(collate(rows, traced.policy))["logits"]
    scores = torch.softmax(torch.from_numpy(logits), -1).numpy()
    for answer, wanted in zip(got, scores, strict=True):
        assert set(answer) == set(traced.settings.labels)
        mine = [answer[label] for label in traced.settings.labels]
        np.testing.assert_allclose(mine, wanted, atol=1e-4)
    with zipfile.ZipFile(made.entry) as packed:
        assert {i.filename for i in packed.infolist()} == {"vocab.txt", "labels.txt"}
        assert all(i.compress_type == zipfile.ZIP_STORED for i in packed.infolist())


@pytest.mark.shared
def test_real_classifier_gives_torchs_answers(
    mediapipe: str, shared_dir: Path, tmp_path: Path
) -> None:
    from edge_tx.exporters import source, tflite_mediapipe
    from edge_tx.text import Row, Tokenizer, collate

    texts = [
        "A gripping, beautifully acted film.",
        "Two hours of my life that I will not get back.",
        "Überraschend gut, and Amélie's café scene is a joy!",
        "the plot makes no sense ; the jokes fall flat",
    ]
    traced = source.load(shared_dir / "models" / "sst2-minilm")
    made = tflite_mediapipe.export(traced, tmp_path, length=64)
    got = ask(mediapipe, "TextClassifier", made.entry, [prepare(t) for t in texts], tmp_path)
    encoded = Tokenizer(traced.tokenizer_json, traced.policy).encode(texts)
    feeds = collate([Row(i, e.ids, e) for i, e in enumerate(encoded)], traced.policy)
    logits = traced.reference(feeds)["logits"]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for answer, wanted in zip(got, scores, strict=True):
        mine = [answer[label] for label in traced.settings.labels]
        np.testing.assert_allclose(mine, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "task", "reason"),
    [
        ("distilbert", "text-classification", "takes input_ids, attention_mask"),
        ("bert", "question-answering", "no task for question-answering"),
    ],
)
def test_what_mediapipe_cannot_run_is_refused(
    family: str, task: str, reason: str, tiny_model: Any, tmp_path: Path
) -> None:
    from edge_tx.exporters import source, tflite_mediapipe

    traced = source.load(tiny_model(family, task, shallow=True), task=task)
    with pytest.raises(UnsupportedModel, match=reason):
        tflite_mediapipe.export(traced, tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_tokenizers_are_refused(tiny_model: Any, tmp_path: Path) -> None:
    from edge_tx.exporters import source, tflite_mediapipe

    task = "text-classification"
    traced = source.load(tiny_model("bert", task, shallow=True), task=task)
    other = source.load(tiny_model("albert", task, shallow=True), task=task).tokenizer_json
    with pytest.raises(UnsupportedModel, match="no WordPiece"):
        tflite_mediapipe.export(replace(traced, tokenizer_json=other), tmp_path)
    assert not list(tmp_path.iterdir())
