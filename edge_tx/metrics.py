"""Metrics of predictions against labels: plain functions of two lists, from 0 to 1 or -1 to 1.

Each is small enough to be here rather than a dependency of every device; the tests hold them
against the libraries that define them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "accuracy",
    "answer_exact",
    "answer_f1",
    "binary_f1",
    "macro_f1",
    "pearson",
    "span_f1",
    "spans",
    "spearman",
]

Labels = Collection[str]


def accuracy(expected: Sequence[object], predicted: Sequence[object]) -> float:
    """Share of predictions that are equal to their label."""
    return sum(map(_same, expected, predicted)) / len(expected)


def macro_f1(expected: Sequence[Labels], predicted: Sequence[Labels]) -> float:
    """Mean over labels of each label's F1; a label that is never right counts as 0.

    Args:
        expected: The labels that hold, of each input.
        predicted: Those that were predicted.
    """
    names = sorted({name for labels in (*expected, *predicted) for name in labels})
    return float(np.mean([binary_f1(expected, predicted, name) for name in names]))


def binary_f1(expected: Sequence[Labels], predicted: Sequence[Labels], positive: str) -> float:
    """F1 of one label."""
    truth = [positive in labels for labels in expected]
    found = [positive in labels for labels in predicted]
    right = sum(one and other for one, other in zip(truth, found, strict=True))
    return _f1(right, sum(truth), sum(found))


def span_f1(expected: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 of entities: one is right if its kind, its start and its end are.

    Args:
        expected: A tag per word, of each text.
        predicted: Those that were predicted.
    """
    right = truth = found = 0
    for one, other in zip(expected, predicted, strict=True):
        wanted, got = set(spans(one)), set(spans(other))
        right += len(wanted & got)
        truth += len(wanted)
        found += len(got)
    return _f1(right, truth, found)


def spans(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Entities of tags by the rules of CoNLL's script, which forgive a missing ``B-``.

    Takes IOB1, IOB2 and IOBES. (https://www.clips.uantwerpen.be/conll2000/chunking/output.html)

    Yields:
        Kind, first word, and the word after the last.
    """
    before, kind, start = "O", "", 0
    for index, tag in enumerate((*tags, "O")):
        prefix, _, name = tag.partition("-") if tag == "O" or "-" in tag else ("I", "-", tag)
        if before != "O" and (before in "ES" or prefix in "BSO" or name != kind):
            yield kind, start, index
            before = "O"
        if prefix != "O" and before == "O":
            start = index
        before, kind = prefix, name


def pearson(expected: Sequence[float], predicted: Sequence[float]) -> float:
    """Correlation of two lists of numbers; 0 where one of them is constant."""
    one = np.asarray(expected, np.float64) - np.mean(expected)
    other = np.asarray(predicted, np.float64) - np.mean(predicted)
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / scale if scale > 0 else 0.0


def spearman(expected: Sequence[float], predicted: Sequence[float]) -> float:
    """Correlation of the ranks of two lists of numbers; equal numbers share their mean rank."""
    one, other = (_ranks(np.asarray(values, np.float64)) for values in (expected, predicted))
    return pearson(one.tolist(), other.tolist())


def answer_exact(expected: Sequence[Sequence[str]], predicted: Sequence[str]) -> float:
    """Share of answers that equal one of the right ones, after SQuAD's normalisation.

    Args:
        expected: The right answers of each question; none where there is none to be found.
        predicted: Those that were given; empty for "there is none".
    """
    return _mean_best(expected, predicted, lambda one, other: float(one == other))


def answer_f1(expected: Sequence[Sequence[str]], predicted: Sequence[str]) -> float:
    """Mean F1 of the words of an answer, of the right answer that fits best.

    Normalised as SQuAD does (https://arxiv.org/abs/1606.05250); where there is no answer, only
    none is right, as in SQuAD 2.0 (https://arxiv.org/abs/1806.03822).
    """
    return _mean_best(expected, predicted, _words_f1)


def _mean_best(
    expected: Sequence[Sequence[str]],
    predicted: Sequence[str],
    score: Callable[[list[str], list[str]], float],
) -> float:
    total = 0.0
    for right, given in zip(expected, predicted, strict=True):
        words = _answer_words(given)
        total += max(score(_answer_words(answer), words) for answer in right or ("",))
    return total / len(expected)


def _words_f1(one: list[str], other: list[str]) -> float:
    if not one or not other:
        return float(one == other)
    return _f1(sum((Counter(one) & Counter(other)).values()), len(one), len(other))


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _answer_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(right: int, truth: int, found: int) -> float:
    return 2 * right / (truth + found) if truth + found else 0.0


def _same(one: object, other: object) -> bool:
    return one == other


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean = last - (counts - 1) / 2
    return np.asarray(mean[index.reshape(-1)])
