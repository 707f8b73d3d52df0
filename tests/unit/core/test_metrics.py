"""Metrics against values worked out by hand and against the libraries that define them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx import metrics

NUMBERS = st.lists(st.floats(-1e3, 1e3) | st.integers(-3, 3), min_size=3, max_size=40)


def test_accuracy_counts_equals() -> None:
    assert metrics.accuracy(["a", "b", "b", "c"], ["a", "b", "c", "c"]) == 0.75


def test_f1_of_labels() -> None:
    truth = [{"a"}, {"a"}, {"a"}, {"b"}]
    found = [{"a"}, {"a"}, {"b"}, {"b"}]
    assert metrics.binary_f1(truth, found, "a") == pytest.approx(0.8)
    assert metrics.binary_f1(truth, found, "b") == pytest.approx(2 / 3)
    assert metrics.macro_f1(truth, found) == pytest.approx((0.8 + 2 / 3) / 2)
    assert metrics.binary_f1(truth, found, "c") == 0.0
    assert metrics.macro_f1([{"a", "b"}, set()], [{"a"}, set()]) == 0.5


@settings(deadline=None)  # the first call imports the library
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1))
def test_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, found = zip(*pairs, strict=True)
    wanted = sklearn.f1_score(truth, found, average="macro", zero_division=0)
    got = metrics.macro_f1([{t} for t in truth], [{f} for f in found])
    assert got == pytest.approx(wanted)


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 2**32 - 1))
def test_correlations_are_those_of_scipy(values: list[float], seed: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(seed)
    other = [value + rng.normal() for value in values]
    other[0] = other[-1]
    if np.ptp(values) < 1e-6 or np.ptp(other) < 1e-6:
        return
    wanted = stats.spearmanr(values, other).statistic
    assert metrics.spearman(values, other) == pytest.approx(wanted, abs=1e-9)
    wanted = stats.pearsonr(values, other).statistic
    assert metrics.pearson(values, other) == pytest.approx(wanted, abs=1e-9)


def test_correlation_with_a_constant_is_none() -> None:
    assert metrics.pearson([1, 2, 3], [5, 5, 5]) == 0.0
    assert metrics.spearman([1, 2, 3], [5, 5, 5]) == 0.0
    assert math.isfinite(metrics.pearson([0, 0], [0, 0]))


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-PER I-PER O B-LOC", [("PER", 1, 3), ("LOC", 4, 5)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER I-PER O", [("PER", 0, 2)]),  # IOB1
        ("I-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("B-PER E-PER S-LOC S-LOC", [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 3, 4)]),
        ("E-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("PER PER O", [("PER", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert list(metrics.spans(tags.split())) == spans


TAGS = st.sampled_from(("O", *(f"{p}-{k}" for p in "BIES" for k in ("PER", "LOC"))))


@given(st.lists(TAGS, max_size=12))
def test_spans_are_in_order_apart_and_cover_what_is_not_outside(tags: list[str]) -> None:
    found = list(metrics.spans(tags))
    covered = [place for _, start, end in found for place in range(start, end)]
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]
    assert all(tags[place][2:] == kind for kind, a, b in found for place in range(a, b))


def test_span_f1_is_micro() -> None:
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"], ["O"]]
    found = [["B-PER", "I-PER", "O", "O"], ["B-PER", "O"], ["B-LOC"]]
    assert metrics.span_f1(truth, truth) == 1.0
    assert metrics.span_f1(truth, found) == pytest.approx(2 * 1 / (3 + 3))
    assert metrics.span_f1([["O"]], [["O"]]) == 0.0


@pytest.mark.parametrize(
    ("right", "given", "exact", "f1"),
    [
        (["The Cat!"], "cat", 1, 1),
        (["black cat", "a dog"], "the black dog", 0, 2 * 1 / (1 + 2)),
        (["in Paris, France"], "Paris", 0, 2 * 1 / (3 + 1)),
        (["cat"], "", 0, 0),
        ([], "", 1, 1),  # no answer is right
        ([], "cat", 0, 0),
        (["the"], "a", 1, 1),  # nothing is left of either
        (["cat cat dog"], "cat dog dog", 0, 2 / 3),
    ],
)
def test_answers_are_compared_as_squad_does(
    right: list[str], given: str, exact: float, f1: float
) -> None:
    assert metrics.answer_exact([right], [given]) == exact
    assert metrics.answer_f1([right], [given]) == pytest.approx(f1)
