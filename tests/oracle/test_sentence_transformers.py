"""Embeddings and reranking against sentence-transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export


@pytest.mark.parametrize("family", ["bert", "mpnet", "xlm-roberta"])
def test_embeddings(family: str, tiny_sentence_model: Any, ours: Any, nasties: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_sentence_model(family)
    model = SentenceTransformer(str(folder), device="cpu")
    mine = ours(folder, "sentence-embedding")
    for options, theirs in (
        ({}, {}),
        ({"prompt": "query: "}, {"prompt": "query: "}),
        ({"dimensions": 8}, {"truncate_dim": 8}),
        ({"dimensions": 8, "normalize": True}, {"truncate_dim": 8, "normalize_embeddings": True}),
    ):
        expected = model.encode(nasties, **theirs)
        vectors = np.stack([result.vector for result in mine(nasties, **options)])
        np.testing.assert_allclose(vectors, expected, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_reranking(family: str, tiny_model: Any, ours: Any, nasties: list[str]) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    folder = tiny_model(family, "text-ranking")
    model = CrossEncoder(str(folder), device="cpu")
    mine = ours(folder, "text-ranking")
    # Two long texts cost transformers' tokenizer the product of their lengths.
    pairs = [("Who is it?", text) for text in nasties] + [(t[:2000], "that is it") for t in nasties]
    expected = model.predict(pairs)
    assert [r.score for r in mine(pairs)] == pytest.approx(expected.tolist(), abs=1e-4)
    raw = model.predict(pairs, activation_fn=torch.nn.Identity())
    assert [r.score for r in mine(pairs, activation="none")] == pytest.approx(
        raw.tolist(), abs=1e-4
    )


def test_the_order_of_documents(tiny_model: Any, ours: Any) -> None:
    from sentence_transformers import CrossEncoder

    from edge_tx.tasks.ranking import ranked

    folder = tiny_model("bert", "text-ranking")
    documents = ["It rains.", "The sun shines in Rome.", "", "It rains.", "12 apples"]
    expected = CrossEncoder(str(folder), device="cpu").rank("Where?", documents)
    found = ranked(ours(folder, "text-ranking")([("Where?", text) for text in documents]))
    assert [place.index for place in found] == [row["corpus_id"] for row in expected]
    assert [place.score for place in found] == pytest.approx(
        [row["score"] for row in expected], abs=1e-4
    )
