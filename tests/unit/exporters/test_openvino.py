"""The OpenVINO exporter: exact, named as the specs say, quiet, and honest when it fails."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.errors import ExportFailed, InvalidConfig, UnknownName
from edge_tx.exporters.openvino import DEFAULT, ROUTES, check_options, export
from edge_tx.exporters.traced import ExportOptions, Traced
from edge_tx.tensors import Array, TensorSpec

# Looked for, not imported: `import openvino` by itself sends telemetry, which ours keeps out.
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(find_spec("openvino") is None, reason="pip install openvino"),
]

_FAMILIES = (
    "albert",
    "bert",
    "camembert",
    "deberta-v2",
    "distilbert",
    "electra",
    "mobilebert",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
_LENGTHS = ([1], [7, 5], [1, 40, 2, 39], [5] * 9)


@pytest.fixture(scope="module")
def embedder(tiny_model: Any) -> Traced:
    return _load(tiny_model("bert", "sentence-embedding", shallow=True), "sentence-embedding")


@pytest.fixture(scope="module")
def reader(tiny_model: Any) -> Traced:
    return _load(tiny_model("distilbert", "question-answering", shallow=True), "question-answering")


def _load(folder: Path, task: str) -> Traced:
    from edge_tx.exporters import source

    return source.load(folder, task=task)


def _feeds(traced: Traced, lengths: list[int]) -> dict[str, Array]:
    seq = max(lengths)
    mask = (np.arange(seq) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.random.default_rng(seq).integers(5, 500, mask.shape) * mask
    columns = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}
    return {spec.name: columns[spec.name] for spec in traced.inputs}


def _compiled(entry: Path) -> Any:
    import openvino

    return openvino.Core().compile_model(entry, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _worst_error(traced: Traced, entry: Path) -> float:
    """Over shapes other than the traced one; NaN wherever there is one."""
    graph = _compiled(entry)
    errors = []
    for lengths in _LENGTHS:
        feeds = _feeds(traced, lengths)
        wanted, got = traced.reference(feeds), graph(feeds)
        for spec in traced.outputs:
            scale = max(1.0, float(np.abs(wanted[spec.name]).max()))
            errors.append(np.abs(got[spec.name] - wanted[spec.name]).max() / scale)
    return float(np.max(errors))


@pytest.mark.parametrize("family", _FAMILIES)
def test_families_are_exact_at_other_shapes(family: str, tiny_model: Any, tmp_path: Path) -> None:
    # Pooled, so that a NaN in the padding shows: ModernBERT's local attention leaves places
    # there without any key.
    traced = _load(tiny_model(family, "sentence-embedding", shallow=True), "sentence-embedding")
    assert _worst_error(traced, export(traced, tmp_path).entry) < 1e-5


@pytest.mark.parametrize("route", list(ROUTES))
def test_routes_agree(route: str, reader: Traced, tmp_path: Path) -> None:
    done = export(reader, tmp_path, ExportOptions(route=route))
    assert done.route == route
    assert set(done.tools) == set(ROUTES[route].packages)
    graph = _compiled(done.entry)
    feeds = _feeds(reader, [1, 40, 2, 39])
    wanted, got = reader.reference(feeds), graph(feeds)
    real = feeds["attention_mask"].astype(bool)
    for name, array in wanted.items():
        np.testing.assert_allclose(got[name][real], array[real], rtol=0, atol=1e-4)


def test_names_types_and_shapes_are_the_specs(reader: Traced, tmp_path: Path) -> None:
    import openvino

    model = openvino.Core().read_model(export(reader, tmp_path).entry)
    for ports, specs in ((model.inputs, reader.inputs), (model.outputs, reader.outputs)):
        assert [port.get_names() for port in ports] == [{spec.name} for spec in specs]
        assert [port.get_element_type().to_dtype() for port in ports] == [
            spec.dtype.numpy for spec in specs
        ]
        for port in ports:
            assert [dim.is_dynamic for dim in port.get_partial_shape()] == [True, True]


def test_input_that_the_model_ignores_stays(embedder: Traced, tmp_path: Path) -> None:
    import torch

    class WithoutTypes(torch.nn.Module):  # type: ignore[misc]
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            del token_type_ids
            return ((input_ids * attention_mask).float().sum(1, keepdim=True),)

    narrow = TensorSpec("sums", embedder.outputs[0].dtype, ("batch", 1))
    traced = dataclasses.replace(embedder, module=WithoutTypes().eval(), outputs=(narrow,))
    graph = _compiled(export(traced, tmp_path).entry)
    assert [port.get_any_name() for port in graph.inputs] == [s.name for s in traced.inputs]


def test_fp16_halves_the_weights_and_little_else(embedder: Traced, tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "fp16"):
        folder = tmp_path / precision
        folder.mkdir()
        done = export(embedder, folder, ExportOptions(precision=precision))
        assert done.precision == precision
        sizes[precision] = (folder / "model.bin").stat().st_size
        error = _worst_error(embedder, done.entry)
        assert error < {"fp32": 1e-5, "fp16": 1e-2}[precision]
    assert sizes["fp16"] < 0.55 * sizes["fp32"]


def test_tied_weight_is_stored_once(tiny_model: Any, tmp_path: Path) -> None:
    traced = _load(tiny_model("bert", "fill-mask", shallow=True), "fill-mask")
    export(traced, tmp_path)
    table = traced.module.transformer.get_input_embeddings().weight
    weights = 4 * traced.source.parameters
    assert (tmp_path / "model.bin").stat().st_size < weights + 4 * table.numel() / 2


def test_nothing_of_this_machine_is_written(embedder: Traced, tmp_path: Path) -> None:
    for route in (DEFAULT, "onnx"):
        export(embedder, tmp_path, ExportOptions(route=route))
        text = (tmp_path / "model.xml").read_text(encoding="utf-8")
        assert not re.search(r"site-packages|/home/|/tmp/|\.onnx|\.py\b", text)


def test_export_says_nothing(
    embedder: Traced, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export(embedder, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_attention_of_the_module_is_left_as_it_was(embedder: Traced, tmp_path: Path) -> None:
    transformer: Any = embedder.module.transformer
    before = transformer.config._attn_implementation
    assert before == "sdpa"
    export(embedder, tmp_path)
    assert transformer.config._attn_implementation == before
    assert not embedder.module.training


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (ExportOptions(route="torch-tracee"), UnknownName, "did you mean 'torch-trace'"),
        (ExportOptions(precision="int3"), UnknownName, "fp32"),
        (ExportOptions(opset=20), InvalidConfig, "--route onnx"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: ExportOptions, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_options(options)


def test_module_that_cannot_be_traced_fails_in_one_line(embedder: Traced, tmp_path: Path) -> None:
    import torch

    class Broken(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *tensors: Any) -> Any:
            raise RuntimeError("no such\nluck")

    broken = dataclasses.replace(embedder, module=Broken().eval())
    with pytest.raises(
        ExportFailed, match=r"torch-trace cannot export .*BertModel.*no such luck"
    ) as failure:
        export(broken, tmp_path)
    assert "\n" not in str(failure.value)
    assert "--route onnx" in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_graph_that_is_not_the_specs_is_refused(embedder: Traced, tmp_path: Path) -> None:
    narrow = TensorSpec("sentence_embedding", embedder.outputs[0].dtype, ("batch", 7))
    wrong = dataclasses.replace(embedder, outputs=(narrow,))
    with pytest.raises(ExportFailed, match=r"sentence_embedding: float32\[batch, 7\]"):
        export(wrong, tmp_path)


def test_opening_and_exporting_send_no_telemetry(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from edge_tx.backends import open_session
from edge_tx.errors import SessionFailed
try:
    open_session("openvino", Path("gone.xml"))
except SessionFailed:
    pass
import openvino
assert openvino.tools.ovc.telemetry.__class__.__module__ == "openvino.tools.ovc.telemetry_stub"
assert "openvino_telemetry" not in sys.modules
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
