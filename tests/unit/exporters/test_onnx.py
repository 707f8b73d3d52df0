"""The ONNX exporter on a tiny model: each route, the file, and what is in it."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_tx.backends import open_session
from edge_tx.errors import ExportFailed
from edge_tx.exporters import source
from edge_tx.exporters.onnx import OPSET, export
from edge_tx.exporters.routes import ROUTES
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import Array, TensorSpec

pytestmark = pytest.mark.export

# Batch and length of each call: none is the traced one.
_SHAPES = [(1, 1), (1, 2), (2, 1), (5, 3), (1, 128), (3, 128), (7, 33)]


@pytest.fixture(scope="module")
def traced(tiny_model: Any) -> Traced:
    return source.load(
        tiny_model("bert", "question-answering", shallow=True), task="question-answering"
    )


@pytest.fixture(scope="module", params=sorted(ROUTES))
def made(
    request: pytest.FixtureRequest, traced: Traced, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    return export(traced, folder, ExportOptions(route=request.param))


def _feeds(traced: Traced, batch: int, seq: int) -> dict[str, Array]:
    rng = np.random.default_rng(batch * 1000 + seq)
    lengths = np.minimum(seq, 1 + rng.integers(0, seq, batch))
    lengths[0] = seq
    mask = (np.arange(seq) < lengths[:, None]).astype(np.int64)
    columns = {
        "input_ids": rng.integers(5, 200, (batch, seq)) * mask,
        "attention_mask": mask,
        "token_type_ids": rng.integers(0, 2, (batch, seq)) * mask,
    }
    return {spec.name: columns[spec.name] for spec in traced.inputs}


def _assert_exact(traced: Traced, entry: Path, shapes: list[tuple[int, int]]) -> None:
    session = open_session("onnx", entry)
    for batch, seq in shapes:
        feeds = _feeds(traced, batch, seq)
        got = session.run(feeds)
        real = feeds["attention_mask"].astype(bool)
        for name, wanted in traced.reference(feeds).items():
            np.testing.assert_allclose(got[name][real], wanted[real], rtol=0, atol=2e-5)
    session.close()


def test_exact_at_other_shapes(made: Exported, traced: Traced) -> None:
    assert made.route in ROUTES
    _assert_exact(traced, made.entry, _SHAPES)


def test_specs_are_the_graphs(made: Exported, traced: Traced) -> None:
    session = open_session("onnx", made.entry)
    assert session.inputs == traced.inputs
    assert session.outputs == traced.outputs
    session.close()


def test_file_is_valid_and_says_nothing_of_this_machine(made: Exported) -> None:
    onnx.checker.check_model(made.entry, full_check=True)
    model = onnx.load(made.entry)
    assert {o.domain: o.version for o in model.opset_import}[""] == OPSET
    assert model.ir_version <= 10
    data = made.entry.read_bytes()
    for secret in (str(Path(__file__).parents[3]), str(Path.home()) + "/", ".py", "site-packages"):
        assert secret.encode() not in data
    assert [path.name for path in made.entry.parent.iterdir()] == ["model.onnx"]


def test_module_is_as_before(made: Exported, traced: Traced) -> None:
    assert not any(module.training for module in traced.module.modules())
    assert {
        module.config._attn_implementation
        for module in traced.module.modules()
        if hasattr(module, "config")
    } == {"sdpa"}


def test_large_weights_go_to_a_second_file(traced: Traced, tmp_path: Path) -> None:
    made = export(traced, tmp_path, ExportOptions(), single_file_bytes=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx.data").stat().st_size > 4 * 10_000
    _assert_exact(traced, made.entry, _SHAPES[:3])


def test_same_bytes_twice(traced: Traced, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        export(traced, tmp_path / name, single_file_bytes=1000)
        made = sorted((tmp_path / name).iterdir())
        files.append({path.name: path.read_bytes() for path in made})
    assert len(files[0]) == 2
    assert files[0] == files[1]


def _custom(traced: Traced, forward: Any, outputs: tuple[TensorSpec, ...] | None = None) -> Traced:
    import torch

    class Module(torch.nn.Module):  # type: ignore[misc]
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return forward(input_ids, attention_mask, token_type_ids)

    module = Module().eval()
    return dataclasses.replace(traced, module=module, outputs=outputs or traced.outputs)


def test_failed_route_is_one_line_that_names_the_others(traced: Traced, tmp_path: Path) -> None:
    def forward(ids: Any, *rest: Any) -> Any:
        return (ids.float() if ids.sum().item() > 3 else ids.float() * 2,) * 2

    with pytest.raises(ExportFailed, match="--route transformers or --route torch-script") as info:
        export(_custom(traced, forward), tmp_path)
    assert "\n" not in str(info.value)
    assert "\x1b" not in str(info.value)
    assert list(tmp_path.iterdir()) == []


def test_wrong_output_type_is_refused(traced: Traced, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="start_logits"):
        export(_custom(traced, lambda ids, *rest: (ids + 1, ids + 2)), tmp_path)


def test_same_output_twice(traced: Traced, tmp_path: Path) -> None:
    def forward(ids: Any, *rest: Any) -> Any:
        out = ids.float() + 1
        return out, out

    custom = _custom(traced, forward)
    _assert_exact(custom, export(custom, tmp_path).entry, _SHAPES[:3])


def test_warnings_of_others_still_surface(traced: Traced, tmp_path: Path) -> None:
    export(_custom(traced, lambda ids, *rest: (ids.float(), ids.float() + 1)), tmp_path)
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)
