"""TFLite's quantizer: every recipe near fp32, weights shared by signatures, failures in a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.calibration import tflite as quantizer
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import parse
from edge_tx.calibration.target import TARGETS
from edge_tx.errors import ExportFailed, FeedMismatch, InvalidConfig
from edge_tx.tensors import Array

pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(find_spec("litert_torch") is None, reason="pip install litert-torch"),
    pytest.mark.skipif(
        find_spec("ai_edge_quantizer") is None, reason="pip install ai-edge-quantizer"
    ),
]

Quantize = Callable[..., Quantized]
SHORT, LONG = 8, 24
#: Recipe and the least cosine to fp32 on a random model.
RECIPES = {
    "static_w8a8": 0.98,
    "static_w8a8:observer=percentile,symmetric=true": 0.97,
    "static_w8a8:observer=mse,smooth=off": 0.97,
    "static_w8a16": 0.999,
    "dynamic_w8": 0.99,
    "weight_w8": 0.999,
    "weight_w8:per_channel=false": 0.99,
    "weight_w4": 0.95,
    "fp16": 0.99999,
}


@pytest.fixture(scope="module")
def graph(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two signatures; one width (48) that blocks of 32 do not divide."""
    from edge_tx.exporters import source, tflite
    from edge_tx.exporters.traced import ExportOptions

    folder = tiny_model("bert", "token-classification")
    traced = source.load(folder, task="token-classification", max_length=LONG)
    options = ExportOptions(buckets=((1, SHORT), (1, LONG)))
    return tflite.export(traced, tmp_path_factory.mktemp("fp32"), options).entry


def feeds(seed: int = 0, longest: int = LONG) -> Iterator[dict[str, Array]]:
    """Texts of random tokens, without end."""
    rng = np.random.default_rng(seed)
    while True:
        ids = rng.integers(5, 500, (1, int(rng.integers(3, longest + 1))))
        yield {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }


@pytest.fixture
def quantize(graph: Path, tmp_path: Path) -> Quantize:
    def run(text: str, keep: frozenset[str] = frozenset(), longest: int = LONG) -> Quantized:
        sample = list(itertools.islice(feeds(longest=longest), 24))
        work = Work(graph, tmp_path, parse(text), lambda: iter(sample), TARGETS["arm64"], keep)
        return quantizer.quantize(work)

    return run


def answers(entry: Path, longest: int = LONG) -> Array:
    """``float32[tokens, labels]`` of a few texts."""
    session = open_session("tflite", entry, SessionConfig())
    rows = [session.run(feed)["logits"][0] for feed in itertools.islice(feeds(1, longest), 12)]
    session.close()
    return np.concatenate(rows)


def cosine(one: Array, other: Array) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def tensors(entry: Path) -> Iterator[tuple[str, int, int]]:
    """Type, buffer and size of every stored tensor of some size."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    names = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    model = flatbuffer_utils.read_model(str(entry))
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            size = int(np.prod(tensor.shape)) if tensor.shape is not None else 0
            if model.buffers[tensor.buffer].data is not None and size >= 1024:
                yield names[tensor.type], tensor.buffer, size


@pytest.mark.parametrize("text", RECIPES)
def test_answers_stay_near_fp32(text: str, quantize: Quantize, graph: Path) -> None:
    made = quantize(text)
    assert cosine(answers(made.entry), answers(graph)) >= RECIPES[text]
    assert made.units == quantizer.layers(graph)


@pytest.mark.parametrize(
    ("text", "precision", "types"),
    [
        ("static_w8a8", "int8", {"INT8"}),
        ("static_w8a16", "int8", {"INT8"}),
        ("dynamic_w8", "int8", {"INT8"}),
        ("weight_w8", "int8", {"INT8"}),
        ("weight_w4", "int4", {"INT4", "INT8"}),
        ("fp16", "fp16", {"FLOAT16"}),
    ],
)
def test_weights_are_small_and_stored_once(
    text: str, precision: str, types: set[str], quantize: Quantize
) -> None:
    made = quantize(text)
    stored = list(tensors(made.entry))
    assert made.precision == precision
    assert {kind for kind, _, _ in stored} == types
    by_buffer = {buffer: size for _, buffer, size in stored}
    assert len(stored) == 2 * len(by_buffer)  # each of the two signatures reads the same


def test_sessions_see_the_same_graph(quantize: Quantize, graph: Path) -> None:
    before = open_session("tflite", graph, SessionConfig())
    after = open_session("tflite", quantize("static_w8a8").entry, SessionConfig())
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    before.close()
    after.close()


def test_signatures_without_a_text_are_calibrated_too(quantize: Quantize, graph: Path) -> None:
    made = quantize("static_w8a8", longest=SHORT)
    assert cosine(answers(made.entry), answers(graph)) > 0.97


def test_units_are_the_checkpoints_modules(graph: Path) -> None:
    names = quantizer.layers(graph)
    assert names[0] == "bert.embeddings.word_embeddings"
    assert names[-1] == "classifier"
    assert {name.replace("encoder.1", "encoder.0") for name in names[2:-1]} == {
        "bert.encoder.0.attention.self.query",
        "bert.encoder.0.attention.self.key",
        "bert.encoder.0.attention.self.value",
        "bert.encoder.0.attention.output.dense",
        "bert.encoder.0.intermediate.dense",
        "bert.encoder.0.output.dense",
    }


@pytest.mark.parametrize("text", ["static_w8a8", "dynamic_w8", "weight_w4", "fp16"])
def test_units_stay_in_float_when_told(text: str, quantize: Quantize, graph: Path) -> None:
    kept = frozenset({"bert.encoder.1.output.dense"})
    made = quantize(f"{text}:keep_float=*.0.attention.*", kept)
    left = set(quantizer.layers(graph)) - set(made.units)
    assert left == kept | {name for name in quantizer.layers(graph) if ".0.attention." in name}
    assert "FLOAT32" in {kind for kind, _, _ in tensors(made.entry)}
    assert cosine(answers(made.entry), answers(graph)) > 0.95


def test_embeddings_stay_in_float_when_told(quantize: Quantize) -> None:
    made = quantize("dynamic_w8:embeddings=false")
    assert not any("embeddings" in name for name in made.units)
    assert {kind for kind, _, _ in tensors(made.entry)} == {"FLOAT32", "INT8"}


def test_scaling_leaves_the_float_graph_as_it_is(graph: Path, tmp_path: Path) -> None:
    from edge_tx.calibration.tflite_graph import Graph
    from edge_tx.calibration.tflite_ranges import channels
    from edge_tx.calibration.tflite_scaling import equalise, smooth

    scaled = Graph(graph)
    products = [layer for layer in scaled.layers if not layer.is_embedding]
    sample = list(itertools.islice(feeds(), 8))
    seen = channels(scaled, products, lambda: iter(sample))
    seen = equalise(scaled, products, smooth(scaled, products, seen, alpha=0.8))
    entry = tmp_path / "scaled.tflite"
    entry.write_bytes(scaled.to_bytes())
    np.testing.assert_allclose(answers(entry), answers(graph), rtol=0, atol=1e-4)

    measured = channels(scaled, products, lambda: iter(sample))
    for tensor, now in measured.items():  # what the scaling says of itself is what happens
        np.testing.assert_allclose(seen[tensor].largest, now.largest, rtol=1e-3, atol=1e-3)


def test_a_text_longer_than_every_bucket_is_refused(quantize: Quantize) -> None:
    with pytest.raises(FeedMismatch, match=r"tokens, and this graph takes 24 at most"):
        quantize("static_w8a8", longest=LONG * 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dynamic_w8:smooth=0.5", "its smooth is off"),
        ("dynamic_w8:reduce_range=true", "its reduce_range is false or auto"),
        ("static_w8a16:symmetric=false", "its symmetric is true"),
        ("weight_w4:block=16", "its block is 32 or 64 or 128 or 256"),
    ],
)
def test_what_tflite_cannot_do_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        quantizer.check(parse(text))


def test_a_recipe_that_leaves_everything_in_float_is_refused(quantize: Quantize) -> None:
    with pytest.raises(InvalidConfig, match="leaves every layer in float"):
        quantize("weight_w8:keep_float=*")


def test_a_broken_graph_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"TFL3")
    with pytest.raises(ExportFailed, match=r"failed while reading model\.tflite") as caught:
        quantizer.layers(broken)
    assert "\n" not in str(caught.value)


def test_silent(graph: Path, told_while_quantizing: Callable[..., tuple[str, str]]) -> None:
    assert told_while_quantizing("tflite", graph, "arm64") == ("", "")
