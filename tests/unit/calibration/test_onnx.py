"""ONNX Runtime's quantizer: every recipe near fp32, units as promised, failures in a line."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.calibration import onnx as quantizer
from edge_tx.calibration.onnx_activations import channels
from edge_tx.calibration.onnx_graph import Graph
from edge_tx.calibration.onnx_smooth import factors_of, smooth, sources
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import parse
from edge_tx.calibration.target import TARGETS
from edge_tx.calibration.target import target as device
from edge_tx.errors import ExportFailed, InvalidConfig
from edge_tx.tensors import Array

pytestmark = pytest.mark.export

Quantize = Callable[..., Quantized]
TABLE = "embeddings.word_embeddings"
LAYER = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NAMES = (TABLE, *(f"encoder.layer.{n}.{name}" for n in range(2) for name in LAYER))
#: Recipe and the least mean cosine to fp32 on a random model.
RECIPES = {
    "dynamic_w8": 0.99,
    "dynamic_w8:smooth=off,per_channel=false": 0.98,
    "dynamic_w8:reduce_range=true": 0.98,
    "static_w8a8": 0.99,
    "static_w8a8:observer=minmax,smooth=off": 0.98,
    "static_w8a8:observer=percentile,symmetric=true": 0.97,
    "static_w8a8:observer=entropy": 0.95,
    "weight_w8": 0.999,
    "weight_w4": 0.95,
    "weight_w4:block=16": 0.95,
    "fp16": 0.9999,
}


@pytest.fixture(scope="module")
def export(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    made: dict[tuple[str, str], Path] = {}

    def run(task: str, route: str) -> Path:
        from edge_tx.exporters import onnx, source
        from edge_tx.exporters.traced import ExportOptions

        if (task, route) not in made:
            traced = source.load(tiny_model("bert", task), task=task)
            folder = tmp_path_factory.mktemp("fp32")
            made[task, route] = onnx.export(traced, folder, ExportOptions(route=route)).entry
        return made[task, route]

    return run


@pytest.fixture(scope="module")
def graph(export: Callable[[str, str], Path]) -> Path:
    return export("sentence-embedding", "torch-dynamo")


def feeds(seed: int = 0, rows: int = 1) -> Iterator[dict[str, Array]]:
    """Texts of random tokens, without end; of several rows, all but the first are padded."""
    rng = np.random.default_rng(seed)
    while True:
        ids = rng.integers(5, 500, (rows, int(rng.integers(3, 30))))
        mask = np.ones_like(ids)
        mask[1:, ids.shape[1] // 2 :] = 0
        types = np.zeros_like(ids)
        yield {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}


def sample(count: int = 16, rows: int = 1) -> Callable[[], Iterator[dict[str, Array]]]:
    taken = list(itertools.islice(feeds(rows=rows), count))
    return lambda: iter(taken)


@pytest.fixture
def quantize(graph: Path, tmp_path: Path) -> Quantize:
    def run(
        text: str,
        keep: frozenset[str] = frozenset(),
        target: str = "x86-vnni",
        entry: Path = graph,
    ) -> Quantized:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        work = Work(entry, folder, parse(text), sample(), device(target), keep)
        return quantizer.quantize(work)

    return run


def answers(entry: Path) -> Array:
    session = open_session("onnx", entry, SessionConfig())
    rows = [session.run(feed)["sentence_embedding"][0] for feed in itertools.islice(feeds(1), 12)]
    session.close()
    return np.stack(rows)


def cosine(one: Array, other: Array) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).mean())


def tensors(entry: Path) -> dict[str, Array]:
    import onnx

    stored = onnx.load(entry).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in stored}


def large_types(entry: Path) -> set[str]:
    """Types of the weights of matrices and of the token table."""
    return {str(t.dtype) for t in tensors(entry).values() if t.ndim > 1 and t.size >= 5_000}


def kernels(entry: Path, folder: Path) -> list[str]:
    """Operators of the graph that ONNX Runtime runs after its own optimisations."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(str(entry), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


@pytest.mark.parametrize("text", RECIPES)
def test_answers_stay_near_fp32(text: str, quantize: Quantize, graph: Path) -> None:
    made = quantize(text, target="host")  # as this CPU's own products may saturate
    assert cosine(answers(made.entry), answers(graph)) >= RECIPES[text]
    assert made.units == NAMES
    assert [file.name for file in made.entry.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("text", "precision", "types"),
    [
        ("dynamic_w8", "int8", {"int8"}),
        ("static_w8a8", "int8", {"int8"}),
        ("weight_w8", "int8", {"int8", "uint8"}),
        ("weight_w4", "int4", {"int8", "uint8"}),
        ("fp16", "fp16", {"float16"}),
    ],
)
def test_no_large_weight_stays_in_float(
    text: str, precision: str, types: set[str], quantize: Quantize
) -> None:
    made = quantize(text)
    assert made.precision == precision
    assert large_types(made.entry) <= types


@pytest.mark.parametrize("route", ["torch-dynamo", "torch-script"])
def test_units_are_the_checkpoints_modules(route: str, export: Callable[[str, str], Path]) -> None:
    assert quantizer.layers(export("sentence-embedding", route)) == NAMES


def test_a_head_of_few_columns_is_no_unit(export: Callable[[str, str], Path]) -> None:
    names = quantizer.layers(export("text-classification", "torch-dynamo"))
    assert names[-1].endswith("pooler.dense")
    assert not any("classifier" in name for name in names)


def test_gemms_are_quantised_too(quantize: Quantize, export: Callable[[str, str], Path]) -> None:
    entry = export("text-classification", "torch-dynamo")
    made = quantize("dynamic_w8", entry=entry)
    one, other = (open_session("onnx", path, SessionConfig()) for path in (entry, made.entry))
    feed = next(feeds(3))
    np.testing.assert_allclose(
        one.run(feed)["logits"], other.run(feed)["logits"], atol=0.1 * 3, rtol=0.2
    )
    assert made.units[-1].endswith("pooler.dense")


@pytest.mark.parametrize("text", ["dynamic_w8", "static_w8a8", "weight_w8", "weight_w4", "fp16"])
def test_units_stay_in_float_when_told(text: str, quantize: Quantize) -> None:
    kept = "encoder.layer.1.output.dense"
    made = quantize(f"{text}:keep_float=encoder.layer.0.*", frozenset({kept, TABLE}))
    assert made.units == tuple(n for n in NAMES if ".layer.1." in n and n != kept)
    stored = tensors(made.entry)
    assert stored["transformer.embeddings.word_embeddings.weight"].dtype == np.float32
    # Six weights of layer 0 and one of layer 1.
    assert (
        sum(t.ndim == 2 and t.dtype == np.float32 and t.size >= 1024 for t in stored.values()) >= 7
    )


@pytest.mark.parametrize("text", ["dynamic_w8", "static_w8a8", "weight_w8", "weight_w4", "fp16"])
@pytest.mark.parametrize("unit", [TABLE, "encoder.layer.1.attention.output.dense"])
def test_one_unit_alone_is_quantised(text: str, unit: str, quantize: Quantize) -> None:
    made = quantize(text, frozenset(NAMES) - {unit})
    assert made.units == (unit,)
    small = [
        tensor
        for tensor in tensors(made.entry).values()
        if tensor.dtype in (np.int8, np.uint8, np.float16)
        and tensor.size >= 500
        and tensor.ndim > 1
    ]
    assert len(small) == 1 or text == "fp16"


def test_embeddings_stay_in_float_when_told(quantize: Quantize) -> None:
    made = quantize("dynamic_w8:embeddings=false")
    assert made.units == NAMES[1:]
    assert "float32" in large_types(made.entry)


def test_nothing_left_to_quantise_is_an_error(quantize: Quantize) -> None:
    with pytest.raises(InvalidConfig, match="leaves every layer in float"):
        quantize("dynamic_w8:keep_float=*")


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        ("dynamic_w8", {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}),
        ("static_w8a8", {"MatMulIntegerToFloat"}),
        ("weight_w4", {"MatMulNBits"}),
    ],
)
def test_products_run_on_integer_kernels(
    text: str, kernel: set[str], quantize: Quantize, tmp_path: Path
) -> None:
    run = kernels(quantize(text).entry, tmp_path)
    assert sum(name in kernel for name in run) == 12
    # Two products a layer are of activations, in attention.
    assert sum(name in {"MatMul", "FusedMatMul", "Gemm"} for name in run) == 4


def test_seven_bits_where_products_saturate(quantize: Quantize) -> None:
    def widest(target: str) -> int:
        stored = tensors(quantize("static_w8a8", target=target).entry)
        weights = [t for n, t in stored.items() if t.dtype == np.int8 and t.ndim == 2]
        products = [t for t in weights if t.shape[0] < 100]
        assert len(products) == 12
        return max(int(np.abs(weight.astype(int)).max()) for weight in products)

    assert widest("x86-vnni") > 64 >= widest("x86-avx2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("static_w8a16", "no 16-bit activations; it has dynamic_w8"),
        ("dynamic_w8:symmetric=true", "its symmetric is false"),
        ("weight_w4:per_channel=false", "its per_channel is true"),
    ],
)
def test_what_it_cannot_do_is_said(text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        quantizer.check(parse(text))


def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "model.onnx"
    bad.write_bytes(b"no graph")
    with pytest.raises(ExportFailed, match=r"reading model\.onnx"):
        quantizer.layers(bad)


def test_no_calibration_data_is_an_error(graph: Path, tmp_path: Path) -> None:
    work = Work(graph, tmp_path, parse("static_w8a8"), lambda: iter(()), TARGETS["x86-vnni"])
    with pytest.raises(InvalidConfig, match="no calibration data"):
        quantizer.quantize(work)


def test_it_says_nothing(quantize: Quantize, capfd: pytest.CaptureFixture[str]) -> None:
    for text in ("dynamic_w8", "static_w8a8", "weight_w4", "fp16"):
        quantize(text)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------------------------------- parts


def test_the_fp32_graph_is_only_read(quantize: Quantize, graph: Path) -> None:
    before = graph.read_bytes()
    quantize("static_w8a8")
    assert graph.read_bytes() == before
    assert [file.name for file in graph.parent.iterdir()] == ["model.onnx"]


def test_smoothing_changes_no_answer(graph: Path, tmp_path: Path) -> None:
    opened = Graph(graph)
    groups = sources(opened, opened.units)
    assert {len(group) for group in groups.values()} == {3, 1}  # query, key and value share one
    seen = channels(opened.model, list(groups), sample())
    after = smooth(opened, groups, seen, 0.5)
    opened.save(tmp_path / "smooth.onnx")
    np.testing.assert_allclose(answers(tmp_path / "smooth.onnx"), answers(graph), atol=2e-5)
    again = channels(opened.model, list(after), sample())
    for name, expected in after.items():
        np.testing.assert_allclose(again[name].largest, expected.largest, rtol=1e-3, atol=1e-4)


def test_smoothing_evens_channels_out() -> None:
    read = np.array([1, 1, 1, 100], np.float32)
    factors = factors_of(read, np.ones(4, np.float32), 0.5)
    assert np.exp(np.log(factors).mean()) == pytest.approx(1)
    assert (read / factors).max() / (read / factors).min() == pytest.approx(10)


def test_padding_is_not_seen(graph: Path) -> None:
    opened = Graph(graph)
    source = opened.units[1].source
    padded = next(feeds(rows=1))
    wide = {name: np.pad(array, ((0, 0), (0, 9))) for name, array in padded.items()}
    plain = channels(opened.model, [source], lambda: iter([padded]))[source]
    found = channels(opened.model, [source], lambda: iter([wide]))[source]
    np.testing.assert_allclose(found.low, plain.low, atol=1e-5)
    np.testing.assert_allclose(found.high, plain.high, atol=1e-5)


def test_memory_does_not_grow_with_the_data(graph: Path) -> None:
    opened = Graph(graph)
    names = [unit.source for unit in opened.units[1:]]

    def peak(count: int) -> int:
        tracemalloc.start()
        channels(opened.model, names, lambda: itertools.islice(feeds(), count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(200) < peak(20) * 1.2
