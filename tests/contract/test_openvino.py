"""OpenVINO sessions, held to the contract on a graph of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_tx.testing import Sample, SessionContract

pytest.importorskip("openvino", reason="pip install openvino")

pytestmark = pytest.mark.export

# Token ids of the samples stay below this; the tiny vocabularies are larger.
_VOCABULARY = 500
_TASKS = (
    "sentence-embedding",
    "feature-extraction",
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
)
# Halved weights round at the 11th bit; a tiny random model passes that on undamped.
_SAMPLES = {
    **{task: ("bert", task, "fp32", 1e-4) for task in _TASKS},
    "modernbert": ("modernbert", "sentence-embedding", "fp32", 1e-4),
    "halved weights": ("bert", "sentence-embedding", "fp16", 1e-2),
}


@pytest.fixture(scope="module")
def exported(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from edge_tx.exporters import openvino, source
    from edge_tx.exporters.traced import ExportOptions

    made: dict[str, Sample] = {}

    def sample(name: str) -> Sample:
        if name not in made:
            family, task, precision, tolerance = _SAMPLES[name]
            traced = source.load(tiny_model(family, task), task=task)
            folder = tmp_path_factory.mktemp("openvino")
            done = openvino.export(traced, folder, ExportOptions(precision=precision))
            made[name] = Sample(
                done.entry,
                traced.inputs,
                traced.outputs,
                traced.reference,
                vocabulary=_VOCABULARY,
                longest=traced.policy.max_length,
                tolerance=tolerance,
            )
        return made[name]

    return sample


class TestOpenVino(SessionContract):
    backend = "openvino"

    @pytest.fixture(params=list(_SAMPLES))
    def sample(self, request: pytest.FixtureRequest, exported: Any) -> Sample:
        found: Sample = exported(request.param)
        return found
