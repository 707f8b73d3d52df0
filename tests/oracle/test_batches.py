"""A list's results are those of its inputs one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.export

_texts = st.lists(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60), min_size=2, max_size=6
)
_steady = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _same(together: Any, alone: Any) -> None:
    """Equal but for numbers, which may differ by 1e-5."""
    if isinstance(together, dict):
        assert list(together) == list(alone)
        together, alone = list(together.values()), list(alone.values())
    if isinstance(together, list):
        assert len(together) == len(alone)
        for a, b in zip(together, alone, strict=True):
            _same(a, b)
    elif isinstance(together, float):
        assert together == pytest.approx(alone, abs=1e-5)
    else:
        assert together == alone


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("text-classification", {"function_to_apply": "sigmoid"}),
        ("token-classification", {"aggregation": "none", "ignore_labels": []}),
        ("feature-extraction", {}),
        ("zero-shot-classification", {"labels": "one", "multi_label": True}),
    ],
)
@_steady
@given(texts=_texts)
def test_texts(
    tiny_model: Any, ours: Any, task: str, options: dict[str, Any], texts: list[str]
) -> None:
    mine = ours(tiny_model("bert", task), task)
    for text, result in zip(texts, mine(texts, **options), strict=True):
        _same(result.to_dict(), mine.one(text, **options).to_dict())


@_steady
@given(texts=_texts)
def test_embeddings(tiny_sentence_model: Any, ours: Any, texts: list[str]) -> None:
    mine = ours(tiny_sentence_model("bert"), "sentence-embedding")
    for text, result in zip(texts, mine(texts), strict=True):
        np.testing.assert_allclose(result.vector, mine.one(text).vector, atol=1e-5)


@_steady
@given(texts=_texts)
def test_masks(tiny_model: Any, ours: Any, texts: list[str]) -> None:
    mine = ours(tiny_model("bert", "fill-mask"), "fill-mask")
    masked = [f"[MASK] {text}" for text in texts]
    for text, result in zip(masked, mine(masked, targets="the, of"), strict=True):
        scores = {f.token_id: f.score for f in result.fills}
        alone = {f.token_id: f.score for f in mine.one(text, targets="the, of").fills}
        assert scores == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_model_trained_with_padding_on_the_left(tiny_model: Any, ours: Any, family: str) -> None:
    folder = tiny_model(family, "text-classification", tokenizer={"padding_side": "left"})
    mine = ours(folder, "text-classification")
    texts = ["A fine day", "The quick brown fox jumps over the lazy dog in Berlin, and more"]
    for text, result in zip(texts, mine(texts), strict=True):
        _same(result.to_dict(), mine.one(text).to_dict())
