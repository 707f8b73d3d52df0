"""TensorRT's quantizer: graphs of the one form its parser takes, near fp32 in ONNX Runtime."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, find, open_session
from edge_tx.calibration import tensorrt as quantizer
from edge_tx.calibration.quantizer import Quantized, Work, runner
from edge_tx.calibration.recipe import parse
from edge_tx.calibration.target import TARGETS
from edge_tx.errors import InvalidConfig
from edge_tx.tensors import Array

pytestmark = pytest.mark.export

RTX = find_spec("tensorrt_rtx") or find_spec("tensorrt_rtx_bindings")


@pytest.fixture(scope="module")
def graph(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edge_tx.exporters import source, tensorrt

    traced = source.load(tiny_model("bert", "sentence-embedding"), task="sentence-embedding")
    return tensorrt.export(traced, tmp_path_factory.mktemp("fp32"), preflight=False).entry


def feeds(seed: int = 0) -> Iterator[dict[str, Array]]:
    rng = np.random.default_rng(seed)
    while True:
        ids = rng.integers(5, 500, (1, int(rng.integers(3, 30))))
        mask, types = np.ones_like(ids), np.zeros_like(ids)
        yield {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def work(entry: Path, folder: Path, text: str = "static_w8a8", target: str = "cuda") -> Work:
    sample = list(itertools.islice(feeds(), 16))
    return Work(entry, folder, parse(text), lambda: iter(sample), TARGETS[target])


@pytest.fixture(scope="module")
def made(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    # For a device whose own products would want 7-bit weights, which a GPU's do not.
    return quantizer.quantize(work(graph, tmp_path_factory.mktemp("int8"), target="x86-avx2"))


def answers(entry: Path) -> Array:
    session = open_session(quantizer.PROXY, entry, SessionConfig())
    rows = [session.run(feed)["sentence_embedding"][0] for feed in itertools.islice(feeds(1), 12)]
    session.close()
    return np.stack(rows)


def test_answers_stay_near_fp32(made: Quantized, graph: Path) -> None:
    one, other = answers(made.entry), answers(graph)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert ((one * other).sum(axis=1) / lengths).mean() >= 0.97
    assert made.units == quantizer.layers(graph)


def test_the_profiles_go_along(made: Quantized, graph: Path) -> None:
    names = {file.name for file in made.entry.parent.iterdir()}
    assert names == {"model.onnx", "profiles.json"}
    here, there = (path.parent / "profiles.json" for path in (made.entry, graph))
    assert here.read_bytes() == there.read_bytes()


def test_every_pair_is_symmetric_and_serves_one_product(made: Quantized) -> None:
    import onnx

    model = onnx.load(made.entry).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.initializer}
    assert {node.domain for node in model.node} <= {"", "ai.onnx"}
    for node in model.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            offsets = [stored[name] for name in node.input[2:]]
            assert all(offset.dtype == np.int8 and not offset.any() for offset in offsets)
    readers = Counter(name for node in model.node for name in node.input)
    makers = {name: node for node in model.node for name in node.output}
    products = [
        node
        for node in model.node
        if node.op_type == "MatMul"
        and all(makers[n].op_type == "DequantizeLinear" for n in node.input if n in makers)
        and all(n in makers for n in node.input)
    ]
    assert len(products) == 12
    assert all(readers[name] == 1 for node in products for name in node.input)
    # A bias in 32-bit integers is what the parser refuses.
    assert not any(array.dtype == np.int32 for array in stored.values())


def test_weights_use_all_eight_bits(made: Quantized) -> None:
    import onnx

    stored = (onnx.numpy_helper.to_array(t) for t in onnx.load(made.entry).graph.initializer)
    weights = [a for a in stored if a.dtype == np.int8 and a.ndim == 2]
    assert len(weights) == 13  # twelve products and the token table
    assert all(np.abs(weight.astype(int)).max() == 127 for weight in weights)


@pytest.mark.skipif(RTX is None, reason="pip install 'edge-tx[tensorrt-rtx]'")
def test_nvidias_parser_and_builder_take_it(made: Quantized) -> None:
    assert "passed with TensorRT-RTX" in quantizer.prove(made).tools["preflight"]


def test_half_precision_is_near_fp32(graph: Path, tmp_path: Path) -> None:
    half = quantizer.quantize(work(graph, tmp_path, "fp16"))
    assert half.precision == "fp16"
    np.testing.assert_allclose(answers(half.entry), answers(graph), atol=5e-3)


def test_a_graph_without_profiles_is_refused(graph: Path, tmp_path: Path) -> None:
    bare, out = tmp_path / "bare", tmp_path / "out"
    bare.mkdir()
    out.mkdir()
    shutil.copy(graph, bare)
    with pytest.raises(InvalidConfig, match="export the model with --to tensorrt"):
        quantizer.quantize(work(bare / graph.name, out))
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dynamic_w8", "range from each call"),
        ("weight_w8", "int8 activations only"),
        ("static_w8a16", "16-bit"),
        ("static_w8a8:reduce_range=true", "its reduce_range is false or auto"),
    ],
)
def test_what_it_does_not_take_is_said(text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        quantizer.check(parse(text))


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_it_is_measured_where_the_same_file_runs(name: str) -> None:
    assert runner(find(name)) == "onnx"
