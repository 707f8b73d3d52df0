"""OpenVINO's quantizer: every recipe near fp32, files as promised, silent, failures in a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.calibration import openvino as quantizer
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import parse
from edge_tx.calibration.target import TARGETS, Target
from edge_tx.calibration.target import target as device
from edge_tx.errors import ExportFailed, InvalidConfig
from edge_tx.tensors import Array

pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(find_spec("nncf") is None, reason="pip install nncf"),
]

Quantize = Callable[..., Quantized]
EMBEDDINGS = ("word", "token_type", "position")
#: Recipe and the least mean cosine to fp32 on a random model.
RECIPES = {
    "static_w8a8": 0.99,
    "static_w8a8:observer=percentile": 0.99,
    "static_w8a8:observer=mse,symmetric=true,smooth=off": 0.98,
    "static_w8a8:reduce_range=true,per_channel=false": 0.97,
    "dynamic_w8": 0.995,
    "weight_w8": 0.999,
    "weight_w4": 0.95,
    "weight_w4:block=16": 0.95,
    "fp16": 0.99999,
}


@pytest.fixture(scope="module")
def graph(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edge_tx.exporters import openvino, source

    traced = source.load(tiny_model("bert", "sentence-embedding"), task="sentence-embedding")
    return openvino.export(traced, tmp_path_factory.mktemp("fp32")).entry


def feeds(seed: int = 0) -> Iterator[dict[str, Array]]:
    """Texts of random tokens, without end."""
    rng = np.random.default_rng(seed)
    while True:
        ids = rng.integers(5, 500, (1, int(rng.integers(3, 30))))
        yield {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }


@pytest.fixture
def quantize(graph: Path, tmp_path: Path) -> Quantize:
    def run(
        text: str, keep: frozenset[str] = frozenset(), target: Target = TARGETS["x86-vnni"]
    ) -> Quantized:
        sample = list(itertools.islice(feeds(), 24))
        work = Work(graph, tmp_path, parse(text), lambda: iter(sample), target, keep)
        return quantizer.quantize(work)

    return run


def answers(entry: Path) -> Array:
    session = open_session("openvino", entry, SessionConfig())
    rows = [session.run(feed)["sentence_embedding"][0] for feed in itertools.islice(feeds(1), 12)]
    session.close()
    return np.stack(rows)


def cosines(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    result: Array = (one * other).sum(axis=1) / lengths
    return result


def weight_types(entry: Path) -> set[str]:
    """Types of the constants of some size that are no scales (whose last dimension is 1)."""
    import openvino as ov

    model = ov.Core().read_model(entry)
    return {
        node.get_element_type().to_string()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant" and np.prod(node.shape) >= 512 and node.shape[-1] > 1
    }


@pytest.mark.parametrize("text", RECIPES)
def test_answers_stay_near_fp32(text: str, quantize: Quantize, graph: Path) -> None:
    made = quantize(text, target=device("host"))  # as this CPU's own products may saturate
    assert cosines(answers(made.entry), answers(graph)).mean() >= RECIPES[text]
    assert made.units == quantizer.layers(graph)
    assert made.precision == {"4": "int4", "8": "int8", "a": "int8"}.get(
        text.partition(":")[0][-1], "fp16"
    )


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("static_w8a8", {"i8"}),
        ("dynamic_w8", {"u8"}),
        ("weight_w8", {"u8"}),
        ("weight_w4", {"u4", "u8"}),
        ("fp16", {"f16"}),
    ],
)
def test_no_weight_stays_in_float(text: str, types: set[str], quantize: Quantize) -> None:
    assert weight_types(quantize(text).entry) <= types


def test_units_are_the_checkpoints_modules(graph: Path) -> None:
    names = quantizer.layers(graph)
    assert names[:3] == tuple(f"embeddings.{name}_embeddings" for name in EMBEDDINGS)
    assert names[3:9] == (
        "encoder.layer.0.attention.self.query",
        "encoder.layer.0.attention.self.key",
        "encoder.layer.0.attention.self.value",
        "encoder.layer.0.attention.output.dense",
        "encoder.layer.0.intermediate.dense",
        "encoder.layer.0.output.dense",
    )
    assert len(names) == 3 + 2 * 6


@pytest.mark.parametrize("text", ["static_w8a8", "weight_w8", "weight_w4", "fp16"])
def test_units_stay_in_float_when_told(text: str, quantize: Quantize, graph: Path) -> None:
    kept = "encoder.layer.1.output.dense"
    made = quantize(f"{text}:keep_float=encoder.layer.0.*", frozenset({kept}))
    assert set(quantizer.layers(graph)) - set(made.units) == {
        kept,
        *(name for name in quantizer.layers(graph) if ".layer.0." in name),
    }
    assert "f32" in weight_types(made.entry)


def test_embeddings_stay_in_float_when_told(quantize: Quantize) -> None:
    made = quantize("weight_w8:embeddings=false")
    assert not any("embeddings" in name for name in made.units)
    assert weight_types(made.entry) == {"f32", "u8"}


def test_static_graphs_run_on_integer_kernels(quantize: Quantize) -> None:
    import openvino as ov

    entry = quantize("static_w8a8").entry
    compiled = ov.Core().compile_model(entry, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kernels = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    products = [k for k in kernels if k["layerType"].astype(str) == "FullyConnected"]
    assert len(products) == 12
    assert all("8" in kernel["runtimePrecision"].astype(str) for kernel in products)


@pytest.mark.parametrize(
    ("text", "group"),
    [("weight_w8", 0), ("weight_w4", 0), ("dynamic_w8", quantizer.DYNAMIC_GROUP)],
)
def test_the_file_says_whether_activations_are_rounded(
    text: str, group: int, quantize: Quantize
) -> None:
    import openvino as ov

    compiled = ov.Core().compile_model(quantize(text).entry, "CPU")
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == group


def test_seven_bits_where_products_saturate(quantize: Quantize) -> None:
    import openvino as ov

    def widest(target: str) -> float:
        model = ov.Core().read_model(quantize("static_w8a8", target=TARGETS[target]).entry)
        nodes = [n for n in model.get_ordered_ops() if n.get_type_name() == "Constant"]
        weights = [n.data for n in nodes if n.get_element_type() == ov.Type.i8 and n.data.ndim > 1]
        tables, products = weights[:3], weights[3:]
        assert len(tables) == 3
        return max(float(np.abs(weight.astype(int)).max()) for weight in products)

    assert widest("x86-vnni") > 64 >= widest("x86-avx2")


def test_a_stream_without_end_is_read_to_a_bound(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizer, "MOST_FEEDS", 40)
    read = itertools.count()

    def endless() -> Iterator[dict[str, Array]]:
        for feed in feeds():
            next(read)
            yield feed

    quantizer.quantize(Work(graph, tmp_path, parse("static_w8a8"), endless, TARGETS["x86-vnni"]))
    passes = next(read) / 40
    assert passes in (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("static_w8a16", "has no recipe 'static_w8a16'; it has static_w8a8"),
        ("static_w8a8:observer=entropy", "its observer is minmax or percentile or mse"),
        ("dynamic_w8:smooth=0.5", "its smooth is off"),
        ("dynamic_w8:symmetric=false", "its symmetric is true"),
        ("weight_w8:per_channel=false", "its per_channel is true"),
    ],
)
def test_what_openvino_cannot_do_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        quantizer.check(parse(text))


def test_a_recipe_that_leaves_everything_in_float_is_refused(quantize: Quantize) -> None:
    with pytest.raises(InvalidConfig, match="leaves every layer in float"):
        quantize("weight_w8:keep_float=*")


def test_a_broken_graph_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "model.xml"
    broken.write_text("<net")
    with pytest.raises(ExportFailed, match=r"failed while reading model\.xml") as caught:
        quantizer.layers(broken)
    assert "\n" not in str(caught.value)


def test_silent_and_without_telemetry(
    graph: Path, told_while_quantizing: Callable[..., tuple[str, str]]
) -> None:
    then = 'assert "openvino_telemetry" not in sys.modules'
    assert told_while_quantizing("openvino", graph, "x86-vnni", then) == ("", "")
