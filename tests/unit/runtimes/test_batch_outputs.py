"""Every task's results fit the columns that are written for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_tx.runtimes.batch_outputs import arrow_type, fields_of, quantized
from edge_tx.tasks import TASKS
from edge_tx.tasks.embedding import Embedding
from edge_tx.tasks.features import TokenFeatures
from edge_tx.tasks.fill_mask import Fill, Fills
from edge_tx.tasks.question_answering import Answer, Answers
from edge_tx.tasks.ranking import Ranking
from edge_tx.tasks.text_classification import Classification
from edge_tx.tasks.token_classification import Entities, Entity
from edge_tx.tasks.zero_shot import ZeroShot

RESULTS: dict[str, Any] = {
    "sentence-embedding": Embedding(np.zeros(3, np.float32), 4, 0),
    "feature-extraction": TokenFeatures(np.zeros((1, 3), np.float32), ("a",), ((0, 1),), 0),
    "text-classification": Classification("a", 0.9, {"a": 0.9, "b": 0.1}, ("a",), 0),
    "text-ranking": Ranking(0.5, 0),
    "token-classification": Entities((Entity("PER", 0.9, "ada", "Ada", 0, 3),), 0),
    "question-answering": Answers((Answer("London", 0.9, 3, 9),), 0),
    "fill-mask": Fills(((Fill("cat", 7, 0.9, "a cat"),),), 0),
    "zero-shot-classification": ZeroShot(("a", "b"), (0.9, 0.1), False, 2),
}


@pytest.mark.parametrize("task", TASKS)
def test_results_fit_their_columns(task: str) -> None:
    pa = pytest.importorskip("pyarrow", reason="pip install 'edge-tx[batch]'")
    result, plain = RESULTS[task], RESULTS[task].to_dict()
    for field in fields_of(task):
        if field.type != "vector":
            array = pa.array([field.of(result)] * 2, arrow_type(pa, field.type))
            assert array.null_count == 0
            assert field.as_json(result) == plain[field.name]
    assert {"truncated"} <= {field.name for field in fields_of(task)}


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 9)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_int8_vectors_are_wrong_by_half_a_scale_at_most(vectors: Any) -> None:
    small, scales = quantized(vectors)
    assert small.dtype == np.int8
    assert (np.abs(small * scales[:, None] - vectors) <= scales[:, None] * 0.5001).all()
