"""The model, on real graphs of tiny checkpoints."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_tx
from edge_tx.errors import (
    BundleCorrupt,
    InvalidConfig,
    InvalidInput,
    SessionFailed,
    TruncationWarning,
    UnknownName,
)

pytestmark = pytest.mark.export

BundleOf = Callable[[str], Path]
TEXTS = [f"text number {i} " + "and more words " * (i % 23) for i in range(700)]


@pytest.fixture(scope="module")
def bundle_of(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    """A bundle of a tiny BERT for a task, exported once."""
    root = tmp_path_factory.mktemp("bundles")

    def make(task: str) -> Path:
        path = root / task
        if not path.exists():
            edge_tx.export(
                tiny_model("bert", task, shallow=True), path, task=task, texts=_inputs(task)
            )
        return path

    return make


def _inputs(task: str) -> list[Any]:
    plain = ["A short one.", "Zwei Sätze. Noch einer.", "Три слова здесь", "四个字在这"]
    return [(a, b) for a in plain[:2] for b in plain] if task == "text-ranking" else plain


@pytest.fixture(scope="module")
def embedder(bundle_of: BundleOf) -> Iterator[edge_tx.Model]:
    with edge_tx.load(bundle_of("sentence-embedding"), threads=2) as model:
        yield model


def test_one_input_gives_one_result_and_a_list_a_list(embedder: edge_tx.Model) -> None:
    one = embedder("a text")
    assert embedder(["a text"])[0].to_dict() == one.to_dict()
    assert embedder([]) == []


def test_a_long_list_equals_one_by_one(embedder: edge_tx.Model) -> None:
    together = embedder.embed(TEXTS)
    assert together.dtype == np.float32
    for index in range(0, len(TEXTS), 7):
        np.testing.assert_allclose(together[index], embedder.embed(TEXTS[index]), atol=1e-5)


def test_an_iterator_is_read_by_windows_only(embedder: edge_tx.Model) -> None:
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        for i in range(20_000):
            read += 1
            yield f"text {i % 5}"

    answers = embedder(source())
    assert read == 0
    first = next(answers)
    assert 0 < read < 10_000
    np.testing.assert_allclose(first.vector, embedder("text 0").vector, atol=1e-5)


def test_embed_of_nothing_has_the_models_width(embedder: edge_tx.Model) -> None:
    assert embedder.embed([]).shape == (0, len(embedder.embed("x")))


def test_thirty_two_threads_get_one_threads_answers(embedder: edge_tx.Model) -> None:
    texts = [f"{i} words " * (1 + i % 9) for i in range(96)]
    wanted = [embedder.embed(text) for text in texts]
    start = threading.Barrier(32, timeout=60)

    def ask(worker: int) -> list[tuple[int, Any]]:
        start.wait()
        return [(i, embedder.embed(texts[i])) for i in range(worker % 3, 96, 3)]

    with ThreadPoolExecutor(32) as pool:
        for answers in pool.map(ask, range(32)):
            for index, vector in answers:
                np.testing.assert_allclose(vector, wanted[index], atol=1e-5)


def test_truncation_reports_itself(embedder: edge_tx.Model) -> None:
    long = "word " * 5000
    with pytest.warns(TruncationWarning, match="1 of 2 inputs were longer") as told:
        short, cut = embedder(["short", long])
        list(embedder(iter(["short", long])))
        embedder.embed([long, "short"], max_length=16)
        embedder(long, max_length=16)
    assert {Path(warning.filename).name for warning in told} == {"test_model.py"}
    said = [str(warning.message) for warning in told]
    assert ["longer than 16 tokens" in line for line in said] == [False, False, True, True]
    assert short.truncated == 0
    assert cut.truncated > 4000
    assert cut.tokens == embedder.max_length
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder("short")
        with pytest.raises(InvalidInput, match="has 10002 tokens"):
            embedder(["short", long], too_long="error")


def test_bad_inputs_are_named_by_their_place(embedder: edge_tx.Model) -> None:
    with pytest.raises(InvalidInput, match="input 2: "):
        embedder(["a", "b", 3])
    with pytest.raises(InvalidInput, match="surrogate"):
        embedder("\ud83d")
    with pytest.raises(InvalidInput, match="takes a text"):
        embedder(7)  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="takes a text"):
        embedder(b"bytes")


def test_unknown_options_suggest_the_near_one(embedder: edge_tx.Model) -> None:
    with pytest.raises(UnknownName, match="did you mean 'max_length'"):
        embedder("a", max_lenght=4)


def test_methods_of_other_tasks_are_refused(embedder: edge_tx.Model, bundle_of: BundleOf) -> None:
    with pytest.raises(InvalidConfig, match="text-ranking"):
        embedder.rank("q", ["d"])
    with (
        edge_tx.load(bundle_of("text-classification")) as model,
        pytest.raises(InvalidConfig, match="sentence-embedding"),
    ):
        model.embed("a")


def test_rank_orders_documents(bundle_of: BundleOf) -> None:
    documents = ["one thing", "another thing entirely", "a third"]
    with edge_tx.load(bundle_of("text-ranking")) as model:
        ranked = model.rank("a query", documents)
        scores = [model(("a query", document)).score for document in documents]
    assert [r.score for r in ranked] == pytest.approx(sorted(scores, reverse=True), abs=1e-6)
    assert [r.index for r in ranked] == list(np.argsort(scores)[::-1])


def test_describe_says_what_was_chosen(embedder: edge_tx.Model) -> None:
    told = embedder.describe()
    assert told.graph == "onnx-fp32"
    assert told.placement.provider == "CPUExecutionProvider"
    assert told.placement.threads == 2
    assert "onnx" in told.reason


def test_closed_model_is_refused(bundle_of: BundleOf) -> None:
    model = edge_tx.load(bundle_of("sentence-embedding"))
    model.close()
    model.close()
    with pytest.raises(SessionFailed, match="closed"):
        model("a")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"backend": "onyx"}, UnknownName),
        ({"backend": "fake"}, UnknownName),
        ({"graph": "onnx-fp23"}, UnknownName),
        ({"graph": "onnx-fp32", "backend": "fake"}, UnknownName),
        ({"device": "abacus"}, UnknownName),
        ({"threads": 0}, InvalidConfig),
        ({"threads": 2, "streams": 3}, InvalidConfig),
    ],
)
def test_what_makes_no_sense_is_refused(
    bundle_of: BundleOf, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        edge_tx.load(bundle_of("sentence-embedding"), **options)


def test_damaged_graph_is_never_opened(bundle_of: BundleOf, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(bundle_of("sentence-embedding"), copy)
    graph = copy / "graphs/onnx-fp32/model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
        edge_tx.load(copy)


def test_packed_bundle_answers_alike(
    embedder: edge_tx.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))
    embedder.bundle.pack(tmp_path / "model.etx")
    with edge_tx.load(tmp_path / "model.etx") as model:
        np.testing.assert_array_equal(model.embed("a text"), embedder.embed("a text"))


@pytest.mark.parametrize("on", [True, False])
def test_loading_leaves_the_garbage_collector_as_it_was(
    on: bool, bundle_of: BundleOf, tmp_path: Path
) -> None:
    (gc.enable if on else gc.disable)()
    try:
        edge_tx.load(bundle_of("sentence-embedding")).close()
        with pytest.raises(edge_tx.EdgeTxError):
            edge_tx.load(tmp_path / "none")
        assert gc.isenabled() is on
        assert not gc.get_freeze_count()
    finally:
        gc.enable()


def test_ctrl_c_while_a_vendors_module_is_imported_is_ctrl_c(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("edge_tx.vendors.import_vendor", interrupted)
    with pytest.raises(KeyboardInterrupt):
        edge_tx.load(bundle_of("sentence-embedding"))


def test_what_the_application_froze_stays_frozen(bundle_of: BundleOf) -> None:
    path = bundle_of("sentence-embedding")
    gc.freeze()
    try:
        edge_tx.load(path).close()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_inference_loads_no_training_framework(bundle_of: BundleOf) -> None:
    code = f"""
import sys, edge_tx
edge_tx.load({str(bundle_of("text-classification"))!r})("a text")
heavy = {{"torch", "transformers", "onnx", "optimum", "openvino", "rich", "click", "numpy.typing"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
