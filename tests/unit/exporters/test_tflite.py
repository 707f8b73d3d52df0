"""The TFLite exporter: every family exact, silent, and failures in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.errors import ExportFailed, InvalidConfig, UnknownName, UnsupportedModel
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import TensorSpec

pytest.importorskip("litert_torch", reason="pip install litert-torch")

pytestmark = pytest.mark.export

FAMILIES = (
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
LONGEST = 24


@pytest.fixture(scope="module")
def traced(tiny_model: Any) -> Any:
    from edge_tx.exporters import source

    def load(family: str, task: str) -> Traced:
        return source.load(tiny_model(family, task, shallow=True), task=task, max_length=LONGEST)

    return load


def export(traced: Traced, folder: Path, *buckets: tuple[int, int]) -> Exported:
    from edge_tx.exporters import tflite

    return tflite.export(traced, folder, ExportOptions(buckets=buckets))


def feeds(traced: Traced, lengths: list[int]) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    pad = traced.policy.pad_id
    ids = np.where(mask == 1, rng.integers(10, 500, mask.shape), pad)
    columns = {"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * mask}
    return {spec.name: columns[spec.name] for spec in traced.inputs}


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_exact(family: str, traced: Any, tmp_path: Path) -> None:
    model = traced(family, "text-classification")
    made = export(model, tmp_path, (2, LONGEST))
    session = open_session("tflite", made.entry, SessionConfig())
    given = feeds(model, [20, 3])
    got, wanted = session.run(given), model.reference(given)
    session.close()
    scale = max(1.0, float(np.abs(wanted["logits"]).max()))
    np.testing.assert_allclose(got["logits"], wanted["logits"], rtol=0, atol=1e-5 * scale)


def test_signatures_share_the_weights(tiny_model: Any, tmp_path: Path) -> None:
    from edge_tx.exporters import source

    folder = tiny_model("bert", "text-classification", hidden_size=256, intermediate_size=1024)
    model = source.load(folder, task="text-classification", max_length=LONGEST)
    made = export(model, tmp_path, (1, 8), (1, LONGEST))
    assert made.entry.stat().st_size < 1.1 * 4 * model.source.parameters


def test_export_leaves_the_module_as_it_was(traced: Any, tmp_path: Path) -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

    model = traced("bert", "text-classification")
    given = feeds(model, [20, 3])
    before = model.reference(given)["logits"]
    export(model, tmp_path, (1, LONGEST))
    assert model.module.transformer.config._attn_implementation == "sdpa"
    assert ALL_MASK_ATTENTION_FUNCTIONS["eager"] is eager_mask
    np.testing.assert_array_equal(model.reference(given)["logits"], before)


_SILENT = """
import sys
from pathlib import Path
from edge_tx.exporters import source, tflite
from edge_tx.exporters.traced import ExportOptions
traced = source.load(sys.argv[1], task="text-classification", max_length=8)
print("loaded", file=sys.stderr, flush=True)
tflite.export(traced, Path(sys.argv[2]), ExportOptions(buckets=((1, 8),)))
"""


def test_export_is_silent(tiny_model: Any, tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification", shallow=True)
    done = subprocess.run(
        [sys.executable, "-c", _SILENT, str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert done.stderr.partition("loaded\n")[2] == ""


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (ExportOptions(precision="fp16"), InvalidConfig, "fp32"),
        (ExportOptions(route="onnx2tf"), UnknownName, "litert-torch"),
        (ExportOptions(buckets=((1, 8),)), InvalidConfig, "max_length of 8, or a bucket of 24"),
        (ExportOptions(buckets=((1, 32),)), InvalidConfig, "max_length of 32, or a bucket of 24"),
        (ExportOptions(buckets=((0, 24),)), InvalidConfig, r"\(batch, tokens\)"),
    ],
)
def test_options_that_make_no_sense(
    options: ExportOptions, error: type[Exception], match: str, traced: Any, tmp_path: Path
) -> None:
    from edge_tx.exporters import tflite

    with pytest.raises(error, match=match):
        tflite.export(traced("bert", "text-classification"), tmp_path, options)
    assert not list(tmp_path.iterdir())


def test_length_that_looks_like_a_width_is_refused(traced: Any, tmp_path: Path) -> None:
    model = traced("bert", "text-classification")
    wide = replace(
        model, outputs=(TensorSpec("logits", model.outputs[0].dtype, ("batch", LONGEST)),)
    )
    with pytest.raises(InvalidConfig, match="add a bucket of another length"):
        export(wide, tmp_path, (1, LONGEST))


def test_vendor_failure_is_one_line(traced: Any, tmp_path: Path) -> None:
    import torch

    class Unconvertible(torch.nn.Module):  # type: ignore[misc]
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return (torch.linalg.eigvals(input_ids.float()[:, :1, None]).real.flatten(1),)

    model = replace(traced("bert", "text-classification"), module=Unconvertible())
    with pytest.raises(ExportFailed, match="litert-torch cannot export BertFor") as failure:
        export(model, tmp_path, (1, LONGEST))
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_mask_of_another_kind_is_refused() -> None:
    import torch

    from edge_tx.exporters.tflite_mask import _additive_mask

    for mask, vmap in ((None, False), (torch.ones(1, 4), True)):
        with pytest.raises(UnsupportedModel, match="masks its attention"):
            _additive_mask(
                q_length=4,
                kv_length=4,
                mask_function=lambda *_: torch.ones(()),
                attention_mask=mask,
                dtype=torch.float32,
                use_vmap=vmap,
            )
