"""OpenVINO sessions, held to the contract on a graph of every task."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.errors import DeviceUnavailable, SessionFailed
from edge_tx.testing import Sample, SessionContract

# Looked for, not imported: `import openvino` by itself sends telemetry, which ours keeps out.
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(find_spec("openvino") is None, reason="pip install openvino"),
]

Exported = Callable[..., Sample]

# Token ids of the samples stay below this; the tiny vocabularies are larger.
_VOCABULARY = 500
_SAMPLES = (
    ("bert", "sentence-embedding", "fp32"),
    ("bert", "sentence-embedding", "fp16"),
    ("bert", "feature-extraction", "fp32"),
    ("distilbert", "text-classification", "fp32"),
    ("roberta", "token-classification", "fp32"),
    ("electra", "question-answering", "fp32"),
    ("modernbert", "fill-mask", "fp32"),
)
# Halved weights are rounded at the 11th bit, and random weights of a large spread pass it on.
_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}


@pytest.fixture(scope="module")
def exported(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from edge_tx.exporters import openvino, source
    from edge_tx.exporters.traced import ExportOptions

    made: dict[tuple[str, str, str], Sample] = {}

    def sample(family: str, task: str, precision: str = "fp32") -> Sample:
        if (family, task, precision) not in made:
            traced = source.load(tiny_model(family, task, shallow=True), task=task)
            folder = tmp_path_factory.mktemp("openvino")
            done = openvino.export(traced, folder, ExportOptions(precision=precision))
            made[family, task, precision] = Sample(
                done.entry,
                traced.inputs,
                traced.outputs,
                traced.reference,
                vocabulary=_VOCABULARY,
                longest=traced.policy.max_length,
                tolerance=_TOLERANCE[precision],
            )
        return made[family, task, precision]

    return sample


class TestOpenVino(SessionContract):
    backend = "openvino"

    @pytest.fixture(params=_SAMPLES, ids="-".join)
    def sample(self, request: pytest.FixtureRequest, exported: Exported) -> Sample:
        return exported(*request.param)

    def test_symbols_are_the_exporters(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        assert session.inputs == sample.inputs
        assert session.outputs == sample.outputs
        session.close()


@pytest.fixture
def embedding(exported: Exported) -> Sample:
    return exported("bert", "sentence-embedding")


def test_arithmetic_is_f32_whatever_the_cpu_could_do(embedding: Sample) -> None:
    session = open_session("openvino", embedding.entry)
    assert session.placement().provider == "CPU f32"
    session.close()


def test_streams_share_the_threads_between_them(embedding: Sample) -> None:
    session = open_session("openvino", embedding.entry, SessionConfig(threads=1, streams=2))
    placement = session.placement()
    # OpenVINO lays out no more streams than there are cores, and says so.
    assert placement.threads == 1
    assert placement.streams in (1, 2)
    session.close()


def test_read_only_feeds_are_taken(embedding: Sample) -> None:
    feeds = embedding.feeds([4, 6])
    session = open_session("openvino", embedding.entry)
    wanted = session.run(feeds)
    for array in feeds.values():
        array.flags.writeable = False
    for name, array in session.run(feeds).items():
        np.testing.assert_array_equal(array, wanted[name])
    session.close()


def test_cache_dir_keeps_the_compiled_graph(embedding: Sample, tmp_path: Path) -> None:
    feeds = embedding.feeds([4, 6])
    config = SessionConfig(options=(("CACHE_DIR", str(tmp_path / "cache")),))
    answers = []
    for _ in range(2):
        session = open_session("openvino", embedding.entry, config)
        assert session.inputs == embedding.inputs
        answers.append(session.run(feeds)["sentence_embedding"])
        session.close()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".blob"]
    first, second = answers
    np.testing.assert_array_equal(first, second)


def test_unknown_option_is_refused_by_name(embedding: Sample) -> None:
    config = SessionConfig(options=(("SPEED_HINT", "yes"),))
    with pytest.raises(SessionFailed, match="SPEED_HINT") as failure:
        open_session("openvino", embedding.entry, config)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_device_that_is_not_here_is_refused(device: str, embedding: Sample) -> None:
    import openvino

    if any(name.startswith(device.upper()) for name in openvino.Core().available_devices):
        pytest.skip(f"there is such a device: {device}")
    with pytest.raises(DeviceUnavailable, match=device):
        open_session("openvino", embedding.entry, SessionConfig(device=device))
