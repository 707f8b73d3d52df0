"""Token features against transformers' own pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export

TASK = "feature-extraction"


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "mpnet", "electra"])
def test_nasty_texts(
    family: str, tiny_model: Any, ours: Any, theirs: Any, nasties: list[str]
) -> None:
    folder = tiny_model(family, TASK)
    pipe = theirs(folder, TASK)
    results = ours(folder, TASK)(nasties)
    for text, result in zip(nasties, results, strict=True):
        expected = pipe(text, truncation=True, return_tensors=True)[0].numpy()
        np.testing.assert_allclose(result.features, expected, atol=1e-4)
        whole = pipe.tokenizer(text, return_offsets_mapping=True)
        assert len(result.tokens) + result.truncated == len(whole["input_ids"])
        assert len(result.offsets) == len(result.tokens)
        if not result.truncated:
            assert list(result.tokens) == pipe.tokenizer.convert_ids_to_tokens(whole["input_ids"])
            assert list(result.offsets) == whole["offset_mapping"]
