"""String-in graphs of real and small models, and the apps that are compiled for them."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def openvino_bundles(
    minilm_path: Path, tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Bundles with graphs for OpenVINO and ONNX Runtime."""
    for name in ("openvino", "openvino_tokenizers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name}: pip install openvino openvino-tokenizers")
    import edge_tx

    trained = ROOT.parent / "shared" / "models" / "sst2-minilm"
    classifier = trained if trained.is_dir() else tiny_model("bert", "text-classification")
    folder = tmp_path_factory.mktemp("openvino-bundles")
    models = {"embedding": (minilm_path, None), "classifier": (classifier, "text-classification")}
    for name, (model, task) in models.items():
        edge_tx.export(model, folder / name, to=["openvino", "onnx"], task=task).close()
    return {name: folder / name for name in models}


@pytest.fixture(scope="session")
def text_in(
    openvino_bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The folders that ``edge-tx pack --text-in openvino`` makes of them."""
    from edge_tx.bundle import Bundle
    from edge_tx.exporters.text_in import pack

    folder = tmp_path_factory.mktemp("text-in")
    for name, path in openvino_bundles.items():
        with Bundle.open(path) as bundle:
            pack(bundle, folder / name, "openvino")
    return {name: folder / name for name in openvino_bundles}


@pytest.fixture(scope="session")
def pairs(tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A string-in graph of a reranker, which takes a query and a document."""
    pytest.importorskip("openvino_tokenizers", reason="pip install openvino-tokenizers")
    import edge_tx
    from edge_tx.exporters.text_in import pack

    folder = tmp_path_factory.mktemp("pairs")
    model = tiny_model("bert", "text-ranking")
    with edge_tx.export(model, folder / "bundle", to="openvino", task="text-ranking") as bundle:
        return pack(bundle, folder / "text-in", "openvino").folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``built(example) -> folder``: an example, configured and compiled with warnings as errors."""
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: the example is not compiled")

    def build(example: str) -> Path:
        folder = tmp_path_factory.mktemp(example)
        configure = ["cmake", "-S", str(ROOT / "examples" / example), "-B", str(folder)]
        options = [f"-DPython3_EXECUTABLE={sys.executable}"]
        headers = os.environ.get("EDGE_TX_ONNXRUNTIME_INCLUDE")
        if headers and Path(headers).is_dir():
            options.append(f"-DEDGE_TX_ONNXRUNTIME_INCLUDE={headers}")
        for command in ([*configure, *options], ["cmake", "--build", str(folder)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            absent = re.search(r"Could NOT find (OpenSSL|JNI)|nlohmann_json failed", done.stderr)
            if done.returncode and absent:
                pytest.skip("no libssl-dev, nlohmann-json3-dev or JDK: the example is not compiled")
            assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return build


@pytest.fixture
def passes_exam() -> Callable[..., int]:
    """``passes_exam(text_in_folder, *command) -> texts``: asserts that every answer is right."""
    from edge_tx import conformance, conformance_program
    from edge_tx import text_in as cards

    def check(folder: Path, *command: object) -> int:
        _, golden, parity = cards.exam(folder)
        asked = b"".join(question.line() for question in conformance.questions(golden))
        words = conformance_program.command_of(shlex.join(map(str, command)))
        outcome = conformance_program.run(words, asked, timeout_s=280)
        assert outcome.failure == ""
        score = conformance.score(golden, parity, outcome.answers, require_ids=True)
        assert score.failures == ()
        return len(score.cases)

    return check


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """``copied(folder) -> folder``: a copy that a test may damage."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / folder.name))

    return copy


@pytest.fixture
def asked() -> Callable[..., Any]:
    """``asked(command, data) -> finished process``, its streams in bytes."""

    def ask(command: list[Any], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)

    return ask
