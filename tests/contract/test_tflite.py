"""TFLite sessions, held to the contract on a graph of every task."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.errors import FeedMismatch, InvalidConfig, SessionFailed
from edge_tx.tensors import DType
from edge_tx.testing import Sample, SessionContract

pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")
pytest.importorskip("litert_torch", reason="pip install litert-torch")

pytestmark = pytest.mark.export

_LONGEST = 32
# Token ids of the samples stay below this; the tiny vocabularies are larger.
_VOCABULARY = 500
_TASKS = ("sentence-embedding", "token-classification", "question-answering")


@pytest.fixture(scope="module")
def exported(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from edge_tx.exporters import source, tflite
    from edge_tx.exporters.traced import ExportOptions

    made: dict[str, Sample] = {}

    def sample(task: str) -> Sample:
        if task not in made:
            traced = source.load(
                tiny_model("bert", task, shallow=True), task=task, max_length=_LONGEST
            )
            folder = tmp_path_factory.mktemp("tflite")
            options = ExportOptions(buckets=((1, 8), (4, _LONGEST)))
            made[task] = Sample(
                tflite.export(traced, folder, options).entry,
                # Phones have no use for 64 bits: the graph's integers are half as wide.
                tuple(replace(spec, dtype=DType.INT32) for spec in traced.inputs),
                traced.outputs,
                traced.reference,
                vocabulary=_VOCABULARY,
                longest=_LONGEST,
            )
        return made[task]

    return sample


class TestTflite(SessionContract):
    backend = "tflite"

    @pytest.fixture(params=_TASKS)
    def sample(self, request: pytest.FixtureRequest, exported: Any) -> Sample:
        found: Sample = exported(request.param)
        return found

    def test_longer_than_the_largest_bucket_is_refused(self, sample: Sample, session: Any) -> None:
        with pytest.raises(FeedMismatch, match=f"largest bucket has {_LONGEST}"):
            session.run(sample.feeds([_LONGEST + 1]))

    def test_streams_run_side_by_side(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry, SessionConfig(streams=2))
        feeds = [sample.feeds([3 + seed, 9], seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(session.run, feeds))
        session.close()
        for given, got in zip(feeds, results, strict=True):
            for name, wanted in sample.reference(given).items():
                mask = given["attention_mask"].astype(bool)
                rows = mask if wanted.ndim > 1 and wanted.shape[1] == mask.shape[1] else slice(None)
                np.testing.assert_allclose(got[name][rows], wanted[rows], rtol=0, atol=1e-4)

    def test_closing_waits_for_calls_and_refuses_later_ones(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(session.run, sample.feeds([9] * 40)) for _ in range(16)]
            session.close()
        failures = [call.exception() for call in calls]
        assert all(error is None or isinstance(error, SessionFailed) for error in failures)

    def test_options_are_refused(self, sample: Sample) -> None:
        with pytest.raises(InvalidConfig, match="speed"):
            open_session(self.backend, sample.entry, SessionConfig(options=(("speed", "9"),)))

    def test_opening_is_silent(self, sample: Sample, capfd: pytest.CaptureFixture[str]) -> None:
        session = open_session(self.backend, sample.entry)
        session.run(sample.feeds([9, 3]))
        session.close()
        assert capfd.readouterr() == ("", "")


_ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np
from edge_tx.backends import SessionConfig, open_session
session = open_session("tflite", Path(sys.argv[1]), SessionConfig(threads=2))
print(session.placement().runtime)
np.savez(sys.argv[3], **session.run(np.load(sys.argv[2])))
"""


@pytest.mark.parametrize("task", _TASKS)
def test_tflite_runtime_gives_the_same(task: str, exported: Any, tmp_path: Path) -> None:
    python = os.environ.get("EDGE_TX_TFLITE_RUNTIME_PYTHON")
    if not python:
        pytest.skip(
            "EDGE_TX_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime and numpy 1.26"
        )
    sample: Sample = exported(task)
    feeds = sample.feeds([3, 9, 5])
    given, got = tmp_path / "given.npz", tmp_path / "got.npz"
    np.savez(given, allow_pickle=False, **feeds)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [python, "-c", _ELSEWHERE, str(sample.entry), str(given), str(got)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tflite-runtime ")
    results = np.load(got)
    mask = feeds["attention_mask"].astype(bool)
    for spec in sample.outputs:
        wanted = sample.reference(feeds)[spec.name]
        rows = mask if spec.shape[1] == "seq" else slice(None)
        np.testing.assert_allclose(results[spec.name][rows], wanted[rows], rtol=0, atol=1e-4)
