"""TensorRT packages: held against torch in ONNX Runtime, and shown to NVIDIA's own parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import Backend, find, open_session
from edge_tx.errors import ExportFailed, InvalidConfig, SessionFailed
from edge_tx.exporters import tensorrt, tensorrt_fp16, tensorrt_preflight
from edge_tx.exporters.parity import BUDGETS
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.runtimes import tensorrt_build
from edge_tx.runtimes.tensorrt_profiles import Profile, Span, read
from edge_tx.tensors import DType, TensorSpec

pytest.importorskip("onnx", reason="pip install 'edge-tx[export]'")
needs_rtx = pytest.mark.skipif(
    find("tensorrt_rtx").module is None, reason="pip install 'edge-tx[tensorrt-rtx]'"
)

Export = Callable[..., tuple[Traced, Exported]]


@pytest.fixture(scope="module")
def export(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """``export(family, task, precision, **options) -> (traced, exported)``, each made once."""
    made: dict[object, tuple[Traced, Exported]] = {}

    def make(family: str, task: str, precision: str, **options: Any) -> tuple[Traced, Exported]:
        from edge_tx.exporters import source

        key = (family, task, precision, *options.items())
        if key not in made:
            traced = source.load(tiny_model(family, task, shallow=True), task=task)
            given = ExportOptions(precision=precision, **options)
            folder = tmp_path_factory.mktemp("tensorrt")
            made[key] = traced, tensorrt.export(traced, folder, given, preflight=not options)
        return made[key]

    return make


def worst_error(traced: Traced, made: Exported) -> float:
    """Against torch, relative to the largest magnitude if above 1, over real places."""
    rng = np.random.default_rng(0)
    session = open_session("onnx", made.entry)
    worst = 0.0
    for lengths in ([1], [9, 4, 7], [30, 2]):
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
        columns = {
            "input_ids": rng.integers(5, 500, mask.shape) * mask,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        feeds = {spec.name: columns[spec.name] for spec in traced.inputs}
        got, wanted = session.run(feeds), traced.reference(feeds)
        for spec in traced.outputs:
            real = mask.astype(bool) if "seq" in spec.shape else slice(None)
            one, other = wanted[spec.name][real], got[spec.name][real]
            worst = max(worst, float(np.abs(one - other).max() / max(1.0, np.abs(one).max())))
    session.close()
    return worst


@pytest.mark.export
@pytest.mark.parametrize(
    ("family", "task", "precision"),
    [
        ("bert", "sentence-embedding", "fp32"),
        ("bert", "sentence-embedding", "fp16"),
        ("bert", "token-classification", "fp16"),
        ("bert", "question-answering", "fp32"),
        ("mpnet", "text-classification", "fp16"),  # computes indices in floating point
        ("modernbert", "text-classification", "fp16"),
    ],
)
def test_packages_are_right_and_build(
    export: Export, family: str, task: str, precision: str
) -> None:
    traced, made = export(family, task, precision)
    assert made.precision == precision
    assert worst_error(traced, made) <= BUDGETS[precision].max_abs_error
    if find("tensorrt_rtx").module is not None:
        assert made.checks["preflight"] == "passed with TensorRT-RTX 1.7"
        assert made.tools["tensorrt_rtx"].startswith("1.7.")


@pytest.mark.export
def test_half_precision_halves_the_file_and_keeps_sums_whole(export: Export) -> None:
    import onnx

    _, whole = export("bert", "sentence-embedding", "fp32")
    _, half = export("bert", "sentence-embedding", "fp16")
    assert half.entry.stat().st_size < 0.65 * whole.entry.stat().st_size
    inferred = onnx.shape_inference.infer_shapes(onnx.load(half.entry), strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    types |= {t.name: t.data_type for t in inferred.initializer}
    kept = [n for n in inferred.node if n.op_type in tensorrt_fp16.FP32_OPERATORS]
    moved = [n for n in inferred.node if n.op_type in ("MatMul", "Gemm", "Gelu")]
    assert kept
    assert {types[n.output[0]] for n in kept} == {onnx.TensorProto.FLOAT}
    assert {types[n.output[0]] for n in moved} == {onnx.TensorProto.FLOAT16}
    ends = {v.type.tensor_type.elem_type for v in (*inferred.input, *inferred.output)}
    assert ends == {onnx.TensorProto.INT64, onnx.TensorProto.FLOAT}


@pytest.mark.export
def test_what_tensorrt_10_3_reads(export: Export) -> None:
    import onnx

    _, made = export("bert", "sentence-embedding", "fp16")
    model = onnx.load(made.entry)
    assert model.ir_version <= 10
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 20)]
    assert {n.op_type for n in model.graph.node} <= tensorrt.OPERATORS


@pytest.mark.export
def test_profiles_are_the_buckets_and_the_runtime_reads_them(export: Export) -> None:
    buckets = ((1, 16), (8, 32))
    _, made = export("bert", "sentence-embedding", "fp32", buckets=buckets)
    assert made.checks["preflight"] == "not asked for"
    assert read(made.entry.with_name("profiles.json")) == (
        Profile(Span(1, 1, 1), Span(1, 16, 16)),
        Profile(Span(1, 8, 8), Span(1, 32, 32)),
    )


@pytest.mark.parametrize(
    ("longest", "width", "spans"),
    [
        (512, (384,), [(1, 32), (1, 128), (1, 512), (32, 512)]),
        (128, (384,), [(1, 32), (1, 128), (32, 128)]),
        (20, (384,), [(1, 20), (32, 20)]),
        (512, ("seq", 30522), [(1, 32), (1, 128), (1, 512), (4, 512)]),  # 62.5 MB a row
        (512, ("seq", 250002), [(1, 32), (1, 128), (1, 512)]),  # 512 MB a row
    ],
)
def test_default_profiles_keep_outputs_small(
    longest: int, width: tuple[int | str, ...], spans: list[tuple[int, int]]
) -> None:
    outputs = (TensorSpec("out", DType.FLOAT32, ("batch", *width)),)
    profiles = tensorrt.default(longest, outputs)
    assert [(p["batch"][2], p["seq"][2]) for p in profiles] == spans
    assert all(p["batch"][0] == p["seq"][0] == 1 for p in profiles)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ExportOptions(precision="int8"), "writes fp32 or fp16, not int8"),
        (ExportOptions(opset=22), "opset must be"),
        (ExportOptions(buckets=((0, 32),)), "1 or more each, not 0x32"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: ExportOptions, told: str) -> None:
    with pytest.raises(InvalidConfig, match=told):
        tensorrt.check_options(options)


@pytest.fixture
def small_graph(tmp_path: Path) -> Callable[[str, str], Path]:
    """``small_graph(operator, domain) -> entry`` of a graph with one node."""

    def make(operator: str, domain: str = "") -> Path:
        import onnx
        from onnx import TensorProto, helper

        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "seq"]) for n in "xy"]
        node = helper.make_node(operator, ["x"], ["y"], name="the_node", domain=domain)
        graph = helper.make_graph([node], "small", ends[:1], ends[1:])
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        onnx.save(model, tmp_path / "model.onnx")
        span = {"min": 1, "opt": 2, "max": 4}
        file = {"schema": 1, "profiles": [{"batch": span, "seq": span}]}
        (tmp_path / "profiles.json").write_text(json.dumps(file))
        return tmp_path / "model.onnx"

    return make


@pytest.mark.parametrize(
    ("operator", "domain", "told"),
    [("Det", "", "no operator Det"), ("FastGelu", "com.microsoft", "com.microsoft::FastGelu")],
)
def test_operators_that_no_tensorrt_has_are_refused(
    small_graph: Callable[..., Path], operator: str, domain: str, told: str
) -> None:
    with pytest.raises(ExportFailed, match=told):
        tensorrt._check_operators(small_graph(operator, domain))


@needs_rtx
def test_preflight_lists_what_the_parser_refuses(small_graph: Callable[..., Path]) -> None:
    entry = small_graph("Det")
    told = r"TensorRT-RTX 1\.[\d.]+'s parser refuses model.onnx: Det 'the_node'"
    with pytest.raises(ExportFailed, match=told):
        tensorrt_preflight.fly(entry, entry.with_name("profiles.json"))


@needs_rtx
def test_preflight_says_whose_parser_it_was(small_graph: Callable[..., Path]) -> None:
    entry = small_graph("Tanh")
    flight = tensorrt_preflight.fly(entry, entry.with_name("profiles.json"))
    release = ".".join(flight.tools["tensorrt_rtx"].split(".")[:2])
    assert flight.outcome == f"passed with TensorRT-RTX {release}"


def test_preflight_that_cannot_run_says_so(
    small_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "module", None)
    entry = small_graph("Tanh")
    flight = tensorrt_preflight.fly(entry, entry.with_name("profiles.json"))
    assert flight.tools == {}
    assert (
        flight.outcome
        == "not run: TensorRT-RTX is not installed (pip install 'edge-tx[tensorrt-rtx]')"
    )


@needs_rtx
def test_preflight_that_crashes_is_an_error(
    small_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(*_: object) -> None:
        raise SessionFailed("building graph with TensorRT-RTX failed: killed by SIGSEGV")

    monkeypatch.setattr(tensorrt_build, "run", crashes)
    entry = small_graph("Tanh")
    with pytest.raises(ExportFailed, match=r"preflight: .* SIGSEGV"):
        tensorrt_preflight.fly(entry, entry.with_name("profiles.json"))


def test_a_graph_that_cannot_be_halved_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ExportFailed, match=r"cannot convert model\.onnx to fp16"):
        tensorrt_fp16.convert(tmp_path / "model.onnx")
