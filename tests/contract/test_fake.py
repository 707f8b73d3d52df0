from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_tx.backends import SessionConfig
from edge_tx.runtimes.fake import FakeSession, write_graph
from edge_tx.tensors import Array, DType, TensorSpec
from edge_tx.testing import Sample, SessionContract

INPUTS = (
    TensorSpec("input_ids", DType.INT64, ("batch", "seq")),
    TensorSpec("attention_mask", DType.INT64, ("batch", "seq")),
)
OUTPUTS = {
    "embedding": TensorSpec("sentence_embedding", DType.FLOAT32, ("batch", 8)),
    "tokens": TensorSpec("logits", DType.FLOAT32, ("batch", "seq", 3)),
}


class TestFake(SessionContract):
    backend = "fake"

    @pytest.fixture(params=list(OUTPUTS))
    def sample(self, request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
        outputs = (OUTPUTS[request.param],)
        entry = write_graph(tmp_path / "model.fake.json", INPUTS, outputs)
        truth = FakeSession(INPUTS, outputs, SessionConfig())

        def one_by_one(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            return truth.run(feeds)

        return Sample(entry, INPUTS, outputs, one_by_one, vocabulary=1000, longest=512)
