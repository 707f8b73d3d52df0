"""Token ids against transformers' tokenizers, for every family."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.export

FAMILIES = (
    "bert", "distilbert", "roberta", "xlm-roberta", "camembert", "albert", "electra", "mpnet",
    "deberta-v2", "mobilebert", "modernbert",
)  # fmt: skip


@pytest.fixture(params=FAMILIES)
def both(request: pytest.FixtureRequest, tiny_model: Any, ours: Any) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    folder = tiny_model(request.param, "feature-extraction")
    return ours(folder, "feature-extraction").tokenizer, AutoTokenizer.from_pretrained(folder)


def test_every_family_is_here(tiny: Any) -> None:
    assert set(FAMILIES) == set(tiny.FAMILIES)


def test_texts(both: tuple[Any, Any], nasties: list[str]) -> None:
    mine, theirs = both
    for length in (None, 16):
        limit = length or mine.policy.max_length
        for text, encoding in zip(nasties, mine.encode(nasties, max_length=length), strict=True):
            expected = theirs(text, truncation=True, max_length=limit, return_offsets_mapping=True)
            assert encoding.ids == expected["input_ids"]
            assert list(encoding.offsets) == expected["offset_mapping"]
            whole = theirs(text, verbose=False)["input_ids"]
            assert len(encoding) + getattr(encoding, "dropped", 0) == len(whole)


@pytest.mark.parametrize("which", ["longest_first", "only_first", "only_second"])
def test_pairs(both: tuple[Any, Any], nasties: list[str], which: Any) -> None:
    mine, theirs = both
    long, short = "seven words of text are in here", "two words"
    others = {"only_first": short, "only_second": short, "longest_first": long}
    for text in [text for text in nasties if len(text) < 5000]:
        pair = (others[which], text) if which == "only_second" else (text, others[which])
        [encoding] = mine.encode([pair], max_length=40, truncation=which)
        expected = theirs([pair], truncation=which, max_length=40)
        assert encoding.ids == expected["input_ids"][0]
        if "token_type_ids" in mine.policy.inputs:
            assert list(encoding.type_ids) == expected["token_type_ids"][0]


def test_decoded_text(both: tuple[Any, Any], nasties: list[str]) -> None:
    mine, theirs = both
    for text in [text for text in nasties if len(text) < 5000]:
        ids = theirs(text, verbose=False)["input_ids"]
        for skip in (False, True):
            assert mine.decode(ids, skip) == theirs.decode(ids, skip_special_tokens=skip)
        tokens = theirs.convert_ids_to_tokens(ids)
        assert [mine.token_of(index) for index in ids] == tokens
        assert mine.join(tokens) == theirs.convert_tokens_to_string(tokens)
