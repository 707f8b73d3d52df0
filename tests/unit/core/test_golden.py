from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx import golden_json
from edge_tx.backends import Placement
from edge_tx.bundle import Bundle
from edge_tx.errors import BundleCorrupt, BundleError, InvalidInput, ParityFailed
from edge_tx.golden import Golden, GoldenArray, GoldenCase, Proof, compare, prove, record
from edge_tx.manifest import Graph, Parity
from edge_tx.strict_json import encode
from edge_tx.tensors import Array, TensorSpec
from edge_tx.text import Row, Tokenizer

LABELS = ("bad", "good")


@dataclass(frozen=True)
class Options:
    top_k: int = 2


@dataclass(frozen=True)
class Answer:
    labels: tuple[dict[str, Any], ...]
    truncated: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def answer(self) -> object:
        return tuple(one["label"] for one in self.labels)


class SumTask:
    """Two scores of a text; one row per text."""

    outputs = ("logits",)

    def options(self, **overrides: Any) -> Options:
        return Options(**overrides)

    def parse(self, value: Any, options: Any) -> Any:
        if not isinstance(value, str):
            raise InvalidInput("not a text")
        return value

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any], options: Any) -> list[Row]:
        encoded = tokenizer.encode(list(items))
        return [Row(item=i, ids=e.ids, encoding=e) for i, e in enumerate(encoded)]

    def reduce(self, outputs: Mapping[str, Array], rows: Sequence[Row], options: Any) -> list[Any]:
        return [line.copy() for line in outputs["logits"]]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: Any,
        rows: Sequence[Row],
        parts: Sequence[Any],
        options: Any,
    ) -> Any:
        order = np.argsort(-parts[0])[: options.top_k]
        return Answer(tuple({"label": LABELS[i], "score": float(parts[0][i])} for i in order))


def reference(feeds: Mapping[str, Array]) -> dict[str, Array]:
    ids = feeds["input_ids"].astype(np.float32)
    return {"logits": np.stack([ids.sum(1), (ids % 2).sum(1) * 3], axis=1)}


class FakeSession:
    def __init__(self, graph: Graph, offset: float = 0.0, flip: bool = False) -> None:
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        self.offset = offset
        self.flip = flip

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        logits = reference(feeds)["logits"] + np.float32(self.offset)
        return {"logits": logits[:, ::-1] if self.flip else logits}

    def placement(self) -> Placement:
        return Placement("fake", "cpu", "numpy", 1, 1, "numpy")

    def close(self) -> None:
        pass


TEXTS = ("hello world", "good", "bad bad hello")


@pytest.fixture
def tokenizer(bundle: Bundle) -> Tokenizer:
    return bundle.tokenizer()


@pytest.fixture
def golden(tokenizer: Tokenizer) -> Golden:
    cases = (record(t, {}, tokenizer=tokenizer, task=SumTask(), run=reference) for t in TEXTS)
    # What is proved is what was read from a file.
    return golden_json.read(golden_json.write(Golden(tuple(cases))))


@pytest.fixture
def graph(bundle: Bundle) -> Graph:
    return bundle.graph()


def _prove(golden: Golden, graph: Graph, tokenizer: Tokenizer, **session: Any) -> Proof:
    return prove(golden, graph, FakeSession(graph, **session), tokenizer, SumTask())


def test_the_reference_proves_itself(golden: Golden, graph: Graph, tokenizer: Tokenizer) -> None:
    proof = _prove(golden, graph, tokenizer)
    assert replace(proof, min_cosine=1.0) == Proof(3, True, 0.0, 1.0, 1.0, ())
    assert proof.min_cosine == pytest.approx(1.0)
    assert proof.ok


def test_other_kernels_may_differ_in_the_last_bits(
    golden: Golden, graph: Graph, tokenizer: Tokenizer
) -> None:
    proof = _prove(golden, graph, tokenizer, offset=1e-5)
    assert proof.ok
    assert 0 < proof.max_abs_error < 2e-5


def test_a_wrong_kernel_is_found(golden: Golden, graph: Graph, tokenizer: Tokenizer) -> None:
    proof = _prove(golden, graph, tokenizer, offset=0.05)
    assert not proof.ok
    assert proof.max_abs_error == pytest.approx(0.05, rel=1e-3)
    assert "logits is off by 0.05" in proof.failures[0]


def test_a_reduced_precision_may_be_as_far_off_as_its_manifest_says(
    golden: Golden, graph: Graph, tokenizer: Tokenizer
) -> None:
    int8 = replace(graph, precision="int8", parity=Parity(9, 0.04, 0.99, 1.0))
    assert _prove(golden, int8, tokenizer, offset=0.05).ok
    assert not _prove(golden, int8, tokenizer, offset=0.5).ok


def test_other_answers_are_found(golden: Golden, graph: Graph, tokenizer: Tokenizer) -> None:
    loose = replace(graph, parity=Parity(9, 1e3, -1.0, 1.0))
    proof = _prove(golden, loose, tokenizer, offset=0, flip=True)
    assert proof.agreement < 1
    half = replace(golden, cases=golden.cases[:1])
    stored = {"labels": [{"label": "x", "score": 5.0}], "truncated": 0}
    changed = replace(half, cases=(replace(half.cases[0], result=stored),))
    proof = _prove(changed, loose, tokenizer)
    assert proof.agreement == 0
    assert "result.labels" in proof.failures[0]
    unsure = replace(loose, parity=Parity(9, 1e3, -1.0, 0.5))
    assert _prove(changed, unsure, tokenizer).ok


def test_ties_may_change_places_and_nothing_else_may(graph: Graph, tokenizer: Tokenizer) -> None:
    loose = replace(graph, parity=Parity(9, 10.0, -1.0, 1.0))

    def turned(text: str) -> Golden:
        case = record(text, {}, tokenizer=tokenizer, task=SumTask(), run=reference)
        labels = case.result["labels"]
        return Golden((replace(case, result={"labels": labels[::-1], "truncated": 0}),))

    assert _prove(turned("world"), loose, tokenizer).ok  # 3 and 3
    assert not _prove(turned("hello world"), loose, tokenizer).ok  # 5 and 3


def test_other_token_ids_are_found(golden: Golden, graph: Graph, tokenizer: Tokenizer) -> None:
    row = golden.cases[0].rows[0]
    wrong = replace(golden.cases[0], rows=(replace(row, ids=(row.ids[0] + 1, *row.ids[1:])),))
    proof = _prove(Golden((wrong, *golden.cases[1:])), graph, tokenizer)
    assert not proof.ids_equal
    assert proof.failures[0] == "case 0: token ids differ"


@pytest.mark.parametrize(
    "logits",
    [np.full((1, 2), np.nan, np.float32), np.ones((1, 3), np.float32)],
    ids=["nan", "shape"],
)
def test_nan_and_other_shapes_never_pass(
    golden: Golden,
    graph: Graph,
    tokenizer: Tokenizer,
    logits: Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = FakeSession(graph)
    monkeypatch.setattr(session, "run", lambda feeds: {"logits": logits})
    monkeypatch.setattr(
        SumTask, "decode", lambda *args: Answer(tuple(golden.cases[0].result["labels"]))
    )
    loose = replace(graph, parity=Parity(9, 1e9, -1.0, 0.0))
    proof = prove(golden, loose, session, tokenizer, SumTask())
    assert not proof.ok
    assert proof.max_abs_error == math.inf


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=5000))
@settings(max_examples=60, deadline=None)
def test_float32_survives_exactly(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    kept = GoldenArray.of(array)
    case = GoldenCase("x", {}, (), {})
    golden = Golden((replace(case, options={"a": encode(kept)}),))
    again = golden_json.read(golden_json.write(golden)).cases[0].options["a"]["values"]
    assert np.array_equal(np.array(again, dtype=np.float32), array[:: kept.step])
    assert len(kept.values) <= 2048
    assert kept.step == 1 or math.ceil(len(values) / (kept.step - 1)) > 2048
    assert compare(kept, array)[0] <= np.spacing(np.abs(array).max())


def test_compare() -> None:
    kept = GoldenArray.of(np.array([[3.0, 4.0]], np.float32))
    error, cosine = compare(kept, np.array([[3.0, 4.5]], np.float32))
    assert error == 0.5
    assert cosine == pytest.approx(27 / (5 * math.hypot(3, 4.5)))
    assert compare(kept, np.array([3.0, 4.0], np.float32)) == (math.inf, 0.0)
    assert compare(kept, np.zeros((1, 2), np.float32)) == (4.0, 0.0)
    zero = GoldenArray.of(np.zeros(3, np.float32))
    assert compare(zero, np.zeros(3, np.float32)) == (0.0, 1.0)


def test_a_reference_with_nan_is_refused() -> None:
    with pytest.raises(ParityFailed, match="NaN"):
        GoldenArray.of(np.array([np.nan]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"step":1', b'"step":2', r"cases\[0\]\.rows\[0\]\.outputs\['logits'\]\.values"),
        (b'"step":1', b'"step":0', "step"),
        (b'"shape":[2]', b'"shape":[-2]', "shape"),
        (b'"tolerance":0.0001', b'"tolerance":0', "tolerance"),
        (b'"type_ids":[0', b'"type_ids":[0,0', "ids"),
        (b'"input"', b'"inputs"', "unknown key 'inputs'"),
        (b'"truncated":0', b'"truncated":NaN', "NaN"),
    ],
)
def test_a_damaged_file_names_the_place(
    golden: Golden, old: bytes, new: bytes, message: str
) -> None:
    data = golden_json.write(golden)
    assert old in data
    with pytest.raises(BundleCorrupt, match=message):
        golden_json.read(data.replace(old, new, 1))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_fuzz(data: bytes) -> None:
    with pytest.raises(BundleError):
        golden_json.read(data)
