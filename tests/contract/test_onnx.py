"""ONNX Runtime sessions, held to the contract on a graph of every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.errors import DeviceUnavailable
from edge_tx.testing import Sample, SessionContract

pytestmark = pytest.mark.export

# Token ids of the samples stay below this; the tiny vocabularies are larger.
_VOCABULARY = 500
_SAMPLES = (
    ("bert", "sentence-embedding"),
    ("bert", "feature-extraction"),
    ("distilbert", "text-classification"),
    ("roberta", "token-classification"),
    ("electra", "question-answering"),
    ("modernbert", "fill-mask"),
)


@pytest.fixture(scope="module")
def exported(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from edge_tx.exporters import onnx, source

    made: dict[tuple[str, str], Sample] = {}

    def sample(family: str, task: str) -> Sample:
        if (family, task) not in made:
            traced = source.load(tiny_model(family, task, shallow=True), task=task)
            done = onnx.export(traced, tmp_path_factory.mktemp("onnx"))
            made[family, task] = Sample(
                done.entry,
                traced.inputs,
                traced.outputs,
                traced.reference,
                vocabulary=_VOCABULARY,
                longest=traced.policy.max_length,
            )
        return made[family, task]

    return sample


class TestOnnx(SessionContract):
    backend = "onnx"

    @pytest.fixture(params=_SAMPLES, ids="-".join)
    def sample(
        self, request: pytest.FixtureRequest, exported: Callable[[str, str], Sample]
    ) -> Sample:
        return exported(*request.param)

    def test_symbols_are_the_exporters(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        assert session.inputs == sample.inputs
        assert session.outputs == sample.outputs
        session.close()


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_device_that_is_not_here_is_refused(device: str, tmp_path: Path) -> None:
    import onnxruntime

    wanted = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[device]
    if wanted in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the provider")
    with pytest.raises(DeviceUnavailable, match="onnxruntime-gpu"):
        open_session("onnx", tmp_path / "model.onnx", SessionConfig(device=device))
