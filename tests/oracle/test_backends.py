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

pytestmark = [pytest.mark.export, pytest.mark.shared, pytest.mark.timeout(1500)]

_BACKENDS = ("onnx", "openvino", "tflite")
_LONGEST = 128


@dataclass(frozen=True)
class Trained:
    """A model of the shared folder, and its task."""

    folder: str
    task: str


MODELS = {
    "embedder": Trained("", "sentence-embedding"),
    "classifier": Trained("models/sst2-minilm", "text-classification"),
    "tagger": Trained("models/btc-ner-minilm", "token-classification"),
    "reader": Trained("models/squad-minilm", "question-answering"),
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest, shared_dir: Path) -> tuple[Path, str]:
    row = MODELS[request.param]
    if row.folder:
        return shared_dir / row.folder, row.task
    folder: Path = request.getfixturevalue("minilm_path")
    return folder, row.task


@pytest.fixture(scope="module")
def bundle(model: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, task = model
    out = tmp_path_factory.mktemp("trained") / "bundle"
    wanted = [*(n for n in _BACKENDS if find(n).module), "tensorrt:fp32", "tensorrt:fp16"]
    # Two buckets: each more takes litert-torch half a minute.
    edge_tx.export(folder, out, task=task, to=wanted, buckets=f"1x48,1x{_LONGEST}").close()
    return out


def test_every_graph_passed_the_gate(bundle: Path) -> None:
    with Bundle.open(bundle) as opened:
        for graph in opened.graphs:
            assert graph.parity.texts >= 12
            if graph.precision == "fp32":
                assert graph.parity.min_cosine >= 0.9999
                assert graph.parity.agreement == 1.0


def test_every_precision_of_tensorrt_parses_and_builds(bundle: Path) -> None:
    if find("tensorrt_rtx").module is None:
        pytest.skip("pip install 'edge-tx[tensorrt-rtx]'")
    with Bundle.open(bundle) as opened:
        checks = {g.precision: g.checks for g in opened.graphs if g.backend == "tensorrt"}
    assert {precision: c["preflight"] for precision, c in checks.items()} == {
        "fp32": "passed with TensorRT-RTX 1.7",
        "fp16": "passed with TensorRT-RTX 1.7",
    }


@pytest.mark.parametrize("backend", _BACKENDS)
def test_answers_are_torchs(
    backend: str, bundle: Path, model: tuple[Path, str], ours: Callable[..., Any]
) -> None:
    if find(backend).module is None:
        pytest.skip(find(backend).install)
    folder, task = model
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
