from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx import tasks
from edge_tx.bundle import Bundle
from edge_tx.calibration.data import CalibrationSet, _shares, calibration_set
from edge_tx.errors import InvalidConfig, InvalidInput

Make = Callable[..., Path]
Draw = Callable[..., CalibrationSet]


@pytest.fixture
def draw(layered_bundle: Make) -> Draw:
    """``draw(source, samples=256, seed=0)`` for a sentence embedding model of 16 tokens."""
    bundle = Bundle.open(layered_bundle({}))
    task = tasks.create("sentence-embedding", bundle.manifest.settings)

    def call(source: Any, **settings: Any) -> CalibrationSet:
        name = "sentence-embedding"
        return calibration_set(source, name, task, bundle.tokenizer(), **settings)

    return call


def test_small_data_is_taken_whole_and_in_order(draw: Draw, some_texts: Callable[..., Any]) -> None:
    texts = some_texts(50)
    found = draw(texts)
    assert (found.inputs, found.seen) == (tuple(texts), 50)
    feeds = list(found.feeds())
    assert len(feeds) == 50
    assert all(feed["input_ids"].shape == (1, len(t.split()) + 2)
               for feed, t in zip(feeds, texts, strict=True))  # fmt: skip
    assert len(list(found.feeds())) == 50  # it can be started again


def test_the_same_seed_gives_the_same_sample_and_hash(draw: Draw, some_texts: Any) -> None:
    texts = some_texts(500)
    one, two, other = (draw(texts, samples=40, seed=seed) for seed in (1, 1, 2))
    assert (one.inputs, one.sha256) == (two.inputs, two.sha256)
    assert one.inputs != other.inputs
    assert one.sha256 != other.sha256
    assert len(one.inputs) == 40
    places = [texts.index(text) for text in one.inputs]
    assert places == sorted(places)


def test_every_length_has_its_share_and_the_rare_one_place(draw: Draw) -> None:
    texts = ["word1"] * 900 + ["word1 word2 word3"] * 99 + ["word1 " * 12]
    counts = {len(t): draw(texts, samples=100).inputs.count(t) for t in set(texts)}
    assert counts == {5: 89, 17: 10, 72: 1} or counts == {5: 90, 17: 9, 72: 1}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.integers(12, 300))
def test_shares_add_up(seen: list[int], wanted: int) -> None:
    counts = _shares(seen, wanted)
    assert sum(counts) == min(sum(seen), wanted)
    assert all(1 <= count <= size for count, size in zip(counts, seen, strict=True))


def test_a_sample_is_even(draw: Draw) -> None:
    texts = [f"word{i % 60}" for i in range(3000)]
    found = draw((f"{t}" for t in texts), samples=300, seed=5)
    halves = [sum(int(t[4:]) < 30 for t in found.inputs), 0]
    assert 110 < halves[0] < 190


def test_a_hundred_thousand_rows_take_no_more_memory_than_a_hundred(draw: Draw) -> None:
    def rows(count: int) -> Iterator[str]:
        rng = np.random.default_rng(0)
        for _ in range(count):
            yield " ".join(["word1"] * int(rng.integers(1, 12)))

    draw(rows(100), samples=64)  # what is imported and cached is not the data's

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            assert draw(rows(count), samples=64).seen == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(100), peak(100_000)
    assert many < few + 200_000  # the rows themselves are over 10 MB


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ([], "has 0 inputs, and calibration needs 8"),
        (["word1"] * 7, "has 7 inputs"),
        (["word1 " * 40] * 20, "20 of 20 inputs drawn from .* longer than the model's 16 tokens"),
        (["日本語 テキスト"] * 20, "100% of the tokens of .* are unknown"),
        ([*["word1"] * 8, 7], "input 9 is a int, not a text"),
        ([*["word1"] * 8, {"txt": "a"}], "input 9 has txt; 'sentence-embedding' needs the columns"),
        ([*["word1"] * 8, {"text": None}], "input 9: expected a text, got nothing"),
        ([*["word1"] * 8, "a \ud800"], "lone surrogate"),
    ],
)
def test_bad_data_is_refused_in_a_line(draw: Draw, texts: list[Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        draw(texts)
    assert "\n" not in str(caught.value)


def test_too_few_samples_are_refused(draw: Draw) -> None:
    with pytest.raises(InvalidConfig, match="samples must be 8 or more"):
        draw(["word1"] * 20, samples=7)


def test_both_texts_of_a_pair_are_inputs(draw: Draw) -> None:
    rows = [{"text_a": f"word{i}", "text_b": "word1 word2", "score": 1} for i in range(9)]
    assert draw(rows).inputs[:3] == ("word0", "word1 word2", "word1")
