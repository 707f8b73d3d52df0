"""Every backend that runs here gives a trained model's answers, on the text that ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_tx
from edge_tx.backends import find
from edge_tx.bundle import Bundle
from edge_tx.exporters import texts
from edge_tx.text import Tokenizer

pytestmark = [
    pytest.mark.export,
    pytest.mark.shared,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::edge_tx.errors.TruncationWarning"),
]

_BACKENDS = ("onnx", "openvino", "tflite")
_LONGEST = 128


@dataclass(frozen=True)
class Trained:
    """A model of the shared folder (if empty, the real MiniLM), and its task."""

    folder: str
    task: str
    tensorrt: tuple[str, ...] = ("fp16",)


MODELS = {
    "embedder": Trained("", "sentence-embedding", ("fp32", "fp16")),
    "classifier": Trained("models/sst2-minilm", "text-classification"),
    "tagger": Trained("models/btc-ner-minilm", "token-classification"),
    "reader": Trained("models/squad-minilm", "question-answering"),
}


@pytest.fixture(scope="module", params=list(MODELS.values()), ids=list(MODELS))
def model(request: pytest.FixtureRequest) -> Trained:
    found: Trained = request.param
    return found


@pytest.fixture(scope="module")
def folder(model: Trained, request: pytest.FixtureRequest, shared_dir: Path) -> Path:
    if model.folder:
        return shared_dir / model.folder
    minilm: Path = request.getfixturevalue("minilm_path")
    return minilm


@pytest.fixture(scope="module")
def bundle(model: Trained, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "bundle"
    here = [name for name in _BACKENDS if find(name).module]
    packages = [f"tensorrt:{precision}" for precision in model.tensorrt]
    # One bucket: each more takes litert-torch half a minute.
    buckets = f"1x{_LONGEST}"
    edge_tx.export(folder, out, task=model.task, to=here + packages, buckets=buckets).close()
    return out


def test_every_graph_passed_the_gate(bundle: Path) -> None:
    with Bundle.open(bundle) as opened:
        for graph in opened.graphs:
            assert graph.parity.texts >= 12
            if graph.precision == "fp32":
                assert graph.parity.min_cosine >= 0.9999
                assert graph.parity.agreement == 1.0


def test_every_precision_of_tensorrt_parses_and_builds(bundle: Path, model: Trained) -> None:
    if find("tensorrt_rtx").module is None:
        pytest.skip("pip install 'edge-tx[tensorrt-rtx]'")
    with Bundle.open(bundle) as opened:
        checks = {g.precision: g.checks for g in opened.graphs if g.backend == "tensorrt"}
    passed = dict.fromkeys(model.tensorrt, "passed with TensorRT-RTX 1.7")
    assert {precision: c["preflight"] for precision, c in checks.items()} == passed


@pytest.mark.parametrize("backend", _BACKENDS)
def test_answers_are_torchs(
    backend: str, bundle: Path, folder: Path, model: Trained, ours: Callable[..., Any]
) -> None:
    if find(backend).module is None:
        pytest.skip(find(backend).install)
    task = model.task
    reference = ours(folder, task, max_length=_LONGEST)
    tokenizer: Tokenizer = reference.tokenizer
    options = texts.options_for(task)
    inputs = texts.inputs_for(task, tokenizer)
    with edge_tx.load(bundle, backend) as opened:
        results = opened(inputs, **options)
    for value, got in zip(inputs, results, strict=True):
        wanted = reference.one(value, **options)
        if task == "sentence-embedding":
            assert float(np.dot(got.vector, wanted.vector)) >= 0.9999
        else:
            assert got.answer() == wanted.answer(), value
