"""The table of metrics: what each is for, what its labels look like, what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import metrics
from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.examples import Example
from edge_tx.manifest import TaskSettings
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.tasks import Result

__all__ = ["METRICS", "Answered", "Metric", "find_metric", "metrics_of"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a graph gives for one example.

    Attributes:
        results: One for each of its inputs.
        outputs: The graph's numbers at real positions, flat; one array for each of its inputs.
    """

    results: tuple[Result, ...]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table of metrics.

    Attributes:
        name: What users write: ``--metric f1``.
        tasks: Those it is for; empty for all.
        about: What it is, in words.
        labels: What a label looks like, in words; empty if it needs none: the answers of the
            fp32 graph stand for the labels then.
        worst: The least it can be; the most is 1.
        predict: What is compared, from what a graph gives for an example.
        expect: What is compared, from an example's label; raises ValueError with what is wrong.
        score: The number, from all that was expected and all that was predicted.
        options: Call options that it is measured with, from the examples.
    """

    name: str
    tasks: tuple[str, ...]
    about: str
    labels: str
    worst: float
    predict: Callable[[Answered, Example], Any]
    expect: Callable[[Example, TaskSettings], Any]
    score: Callable[[Sequence[Any], Sequence[Any]], float]
    options: Callable[[Sequence[Example]], Mapping[str, Any]] = lambda examples: {}

    @property
    def labelled(self) -> bool:
        """Whether it needs labels."""
        return bool(self.labels)


# ------------------------------------------------------------------------------- predictions


def _label(answered: Answered, example: Example) -> Any:
    return frozenset(_the_one(answered).labels)


def _first_label(answered: Answered, example: Example) -> Any:
    return frozenset({_the_one(answered).label})


def _score(answered: Answered, example: Example) -> Any:
    return _the_one(answered).score


def _vectors_cosine(answered: Answered, example: Example) -> Any:
    if len(answered.outputs) != 2:
        raise InvalidInput(f"{example.place} is no pair: give it columns text_a and text_b")
    return _cosine(*answered.outputs)


def _tags(answered: Answered, example: Example) -> Any:
    """A tag per word: that of its first piece; words that were cut off are outside."""
    starts = {}
    for entity in reversed(_the_one(answered).entities):
        starts[entity.start] = entity.label
    tags = []
    for start, stop in example.words:
        inside = (starts[place] for place in range(start, stop) if place in starts)
        tags.append(next(inside, "O"))
    return tags


def _answer(answered: Answered, example: Example) -> Any:
    return _the_one(answered).best.answer


def _outputs(answered: Answered, example: Example) -> Any:
    return answered.outputs


def _answers(answered: Answered, example: Example) -> Any:
    return tuple(result.answer() for result in answered.results)


def _the_one(answered: Answered) -> Any:
    return answered.results[0]


# ------------------------------------------------------------------------------ expectations


def _label_names(example: Example, settings: TaskSettings) -> Any:
    given = example.label
    several = given if isinstance(given, (list, tuple)) else [given]
    return frozenset(_name(label, settings.labels) for label in several)


def _own_label(example: Example, settings: TaskSettings) -> Any:
    if not isinstance(example.label, str):
        raise TypeError(f"got {example.label!r}")
    return frozenset({example.label})


def _name(label: Any, names: Sequence[str]) -> str:
    if isinstance(label, str) and label in names:
        return label
    index = int(label) if isinstance(label, str) and label.isdecimal() else label
    if type(index) is int and 0 <= index < len(names):
        return names[index]
    raise ValueError(f"{label!r} is none of {', '.join(names)}")


def _number(example: Example, settings: TaskSettings) -> Any:
    value = float(example.label)
    if not np.isfinite(value):
        raise ValueError(f"got {value}")
    return value


def _word_tags(example: Example, settings: TaskSettings) -> Any:
    tags = list(example.label)
    if len(tags) != len(example.words):
        raise ValueError(f"there are {len(tags)} tags for {len(example.words)} words")
    return [_name(tag, settings.labels) if tag != "O" else "O" for tag in tags]


def _right_answers(example: Example, settings: TaskSettings) -> Any:
    """Of SQuAD's ``{"text": [...], "answer_start": [...]}``, or texts, or mappings with a text."""
    given = example.label
    if isinstance(given, Mapping):
        given = given["text"]
    texts = [given] if isinstance(given, str) else list(given)
    found = tuple(text["text"] if isinstance(text, Mapping) else text for text in texts)
    if not all(isinstance(text, str) for text in found):
        raise TypeError(f"got {found!r}")
    return tuple(text for text in found if text)


def _nothing(example: Example, settings: TaskSettings) -> Any:
    raise AssertionError("this metric has no labels")


# ------------------------------------------------------------------------------------ scores


def _second_f1(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    names = sorted({name for labels in expected for name in labels})
    return metrics.binary_f1(expected, predicted, names[-1])


def _mean_cosine(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    pairs = zip(expected, predicted, strict=True)
    return float(
        np.mean([_cosine(a, b) for one, other in pairs for a, b in zip(one, other, strict=True)])
    )


def _cosine(one: Array, other: Array) -> float:
    left, right = one.astype(np.float64), other.astype(np.float64)
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / scale if scale > 0 else float(np.array_equal(left, right))


# ----------------------------------------------------------------------------------- options


def _all_tags(examples: Sequence[Example]) -> Mapping[str, Any]:
    return {"ignore_labels": ()}


def _squad_options(examples: Sequence[Example]) -> Mapping[str, Any]:
    # As the data set's own evaluation does: answers of up to 30 tokens, and "there is none"
    # only where the data has such questions.
    none = any(
        not example.label or not _right_answers(example, TaskSettings()) for example in examples
    )
    return {"max_answer_len": 30, "handle_impossible_answer": none}


_CLASS = "a label's name or its number (a list of them for several labels)"
_SPANS = 'a tag for each word, e.g. ["O", "B-PER", "I-PER"]'
_RIGHT = (
    'the right answers: a text, a list of texts, or SQuAD\'s {"text": [...]}; none for no answer'
)
_SIMILAR = "a number, the larger the more alike"

METRICS: tuple[Metric, ...] = (
    Metric(
        "accuracy",
        ("text-classification",),
        "share of right labels",
        _CLASS,
        0,
        _label,
        _label_names,
        metrics.accuracy,
    ),
    Metric(
        "f1",
        ("text-classification",),
        "mean of the labels' F1 (macro)",
        _CLASS,
        0,
        _label,
        _label_names,
        metrics.macro_f1,
    ),
    Metric(
        "f1_binary",
        ("text-classification",),
        "F1 of the second of two labels, by name",
        _CLASS,
        0,
        _label,
        _label_names,
        _second_f1,
    ),
    Metric(
        "accuracy",
        ("zero-shot-classification",),
        "share of right labels",
        "a label's name",
        0,
        _first_label,
        _own_label,
        metrics.accuracy,
    ),
    Metric(
        "f1",
        ("token-classification",),
        "micro F1 of entities (seqeval)",
        _SPANS,
        0,
        _tags,
        _word_tags,
        metrics.span_f1,
        _all_tags,
    ),
    Metric(
        "f1",
        ("question-answering",),
        "mean F1 of the answers' words (SQuAD)",
        _RIGHT,
        0,
        _answer,
        _right_answers,
        metrics.answer_f1,
        _squad_options,
    ),
    Metric(
        "em",
        ("question-answering",),
        "share of answers that are right to the word (SQuAD)",
        _RIGHT,
        0,
        _answer,
        _right_answers,
        metrics.answer_exact,
        _squad_options,
    ),
    Metric(
        "spearman",
        ("sentence-embedding",),
        "rank correlation of the cosine of two texts",
        _SIMILAR,
        -1,
        _vectors_cosine,
        _number,
        metrics.spearman,
    ),
    Metric(
        "pearson",
        ("sentence-embedding",),
        "correlation of the cosine of two texts",
        _SIMILAR,
        -1,
        _vectors_cosine,
        _number,
        metrics.pearson,
    ),
    Metric(
        "spearman",
        ("text-ranking", "text-classification"),
        "rank correlation of the scores",
        _SIMILAR,
        -1,
        _score,
        _number,
        metrics.spearman,
    ),
    Metric(
        "pearson",
        ("text-ranking", "text-classification"),
        "correlation of the scores",
        _SIMILAR,
        -1,
        _score,
        _number,
        metrics.pearson,
    ),
    Metric(
        "cosine",
        (),
        "mean cosine to the fp32 graph's outputs",
        "",
        -1,
        _outputs,
        _nothing,
        _mean_cosine,
    ),
    Metric(
        "agreement",
        (),
        "share of answers that are the fp32 graph's",
        "",
        0,
        _answers,
        _nothing,
        metrics.accuracy,
    ),
)


def metrics_of(task: str) -> Mapping[str, Metric]:
    """The metrics of a task, by name."""
    return {row.name: row for row in METRICS if not row.tasks or task in row.tasks}


def find_metric(name: str, task: str) -> Metric:
    """Looks a metric up.

    Raises:
        UnknownName: There is none of that name.
        InvalidConfig: It is not for this task.
    """
    mine = metrics_of(task)
    if name in mine:
        return mine[name]
    if name not in {row.name for row in METRICS}:
        raise UnknownName("metric", name, mine)
    raise InvalidConfig(f"metric '{name}' is not for '{task}', which has {', '.join(mine)}")
