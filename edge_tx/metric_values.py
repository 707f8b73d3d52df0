"""What metrics compare: values of a graph's answers, of labels, and numbers made of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import metrics
from edge_tx.errors import InvalidInput
from edge_tx.examples import Example, reach
from edge_tx.manifest import TaskSettings
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.tasks import Result

__all__ = [
    "Answered",
    "all_tags",
    "answer",
    "answers",
    "first_label",
    "label",
    "label_names",
    "mean_cosine",
    "no_entity",
    "no_second_label",
    "no_spread",
    "nothing",
    "number",
    "outputs",
    "own_label",
    "right_answers",
    "score",
    "second_f1",
    "second_label",
    "squad_options",
    "tags",
    "vectors_cosine",
    "word_tags",
]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a graph gives for one example.

    Attributes:
        results: One for each of its inputs.
        outputs: The graph's numbers at real positions, flat; one array for each of its inputs.
    """

    results: tuple[Result, ...]
    outputs: tuple[Array, ...]


# ------------------------------------------------------------------------------- predictions


def label(answered: Answered, example: Example) -> Any:
    """All labels of an answer."""
    return frozenset(_the_one(answered).labels)


def first_label(answered: Answered, example: Example) -> Any:
    """The label that an answer ranks first."""
    return frozenset({_the_one(answered).label})


def score(answered: Answered, example: Example) -> Any:
    """The score of an answer."""
    return _the_one(answered).score


def vectors_cosine(answered: Answered, example: Example) -> Any:
    """The cosine of the vectors of two texts."""
    if len(answered.outputs) != 2:
        raise InvalidInput(f"{example.place} is no pair: give it columns text_a and text_b")
    return _cosine(*answered.outputs)


def tags(answered: Answered, example: Example) -> Any:
    """A tag per word: that of its first piece; words that were cut off are outside."""
    pieces = deque(map(_reach, _the_one(answered).entities))
    tags = []
    for start, stop in example.words:
        while pieces and pieces[0][1] <= start:
            pieces.popleft()
        tags.append(pieces[0][2] if pieces and pieces[0][0] < stop else "O")
    return tags


def _reach(entity: Any) -> tuple[int, int, str]:
    return (*reach(entity.text, entity.start), entity.label)


def answer(answered: Answered, example: Example) -> Any:
    """The text of the best answer."""
    return _the_one(answered).best.answer


def outputs(answered: Answered, example: Example) -> Any:
    """The graph's numbers as they are."""
    return answered.outputs


def answers(answered: Answered, example: Example) -> Any:
    """The answers as they can be compared for equality."""
    found = tuple(result.answer() for result in answered.results)
    if None in found:
        raise InvalidInput(
            f"{example.place}: the answer is a number, which agrees more or less: use cosine, or "
            "spearman with labels"
        )
    return found


def _the_one(answered: Answered) -> Any:
    return answered.results[0]


# ------------------------------------------------------------------------------ expectations


def label_names(example: Example, settings: TaskSettings) -> Any:
    """The names of one label or of several."""
    given = example.label
    several = given if isinstance(given, (list, tuple)) else [given]
    return frozenset(_name(label, settings.labels) for label in several)


def own_label(example: Example, settings: TaskSettings) -> Any:
    """A label that the model's own need not have."""
    if not isinstance(example.label, str):
        raise TypeError(f"got {example.label!r}")
    return frozenset({example.label})


def second_label(example: Example, settings: TaskSettings) -> Any:
    """The names of the labels, and that of the one that counts."""
    if len(settings.labels) != 2:
        raise ValueError(f"the model has {len(settings.labels)} labels, and this is for two")
    return label_names(example, settings), max(settings.labels)


def _name(label: Any, names: Sequence[str]) -> str:
    if isinstance(label, str) and label in names:
        return label
    index = int(label) if isinstance(label, str) and label.isdecimal() else label
    if type(index) is int and 0 <= index < len(names):
        return names[index]
    raise ValueError(f"{label!r} is none of {', '.join(names)}")


def number(example: Example, settings: TaskSettings) -> Any:
    """A finite number."""
    value = float(example.label)
    if not np.isfinite(value):
        raise ValueError(f"got {value}")
    return value


def word_tags(example: Example, settings: TaskSettings) -> Any:
    """A tag for each word."""
    tags = list(example.label)
    if len(tags) != len(example.words):
        raise ValueError(f"there are {len(tags)} tags for {len(example.words)} words")
    return [_name(tag, settings.labels) if tag != "O" else "O" for tag in tags]


def right_answers(example: Example, settings: TaskSettings) -> Any:
    """Of SQuAD's ``{"text": [...], "answer_start": [...]}``, or texts, or mappings with a text."""
    given = example.label
    if isinstance(given, Mapping):
        given = given["text"]
    texts = [given] if isinstance(given, str) else list(given)
    found = tuple(text["text"] if isinstance(text, Mapping) else text for text in texts)
    if not all(isinstance(text, str) for text in found):
        raise TypeError(f"got {found!r}")
    return tuple(text for text in found if text)


def nothing(example: Example, settings: TaskSettings) -> Any:
    """Never asked for: the answers of the fp32 graph stand for the labels."""
    raise AssertionError("this metric has no labels")


# ------------------------------------------------------------------------ what says nothing


def no_spread(expected: Sequence[Any]) -> str:
    """Of a correlation."""
    return "" if len(set(expected)) > 1 else "all labels are the same number"


def no_entity(expected: Sequence[Any]) -> str:
    """Of the F1 of entities."""
    return "" if any(any(metrics.spans(tags)) for tags in expected) else "no tag is other than O"


def no_second_label(expected: Sequence[Any]) -> str:
    """Of the F1 of one label."""
    positive = expected[0][1]
    return "" if any(positive in labels for labels, _ in expected) else f"no row is '{positive}'"


# ------------------------------------------------------------------------------------ scores


def second_f1(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    """F1 of the second label by name."""
    labels, positives = zip(*expected, strict=True)
    return metrics.binary_f1(labels, predicted, positives[0])


def mean_cosine(expected: Sequence[Any], predicted: Sequence[Any]) -> float:
    """The mean cosine of all outputs."""
    pairs = zip(expected, predicted, strict=True)
    return float(
        np.mean([_cosine(a, b) for one, other in pairs for a, b in zip(one, other, strict=True)])
    )


def _cosine(one: Array, other: Array) -> float:
    left, right = one.astype(np.float64), other.astype(np.float64)
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / scale if scale > 0 else float(np.array_equal(left, right))


# ----------------------------------------------------------------------------------- options


def all_tags(examples: Sequence[Example]) -> Mapping[str, Any]:
    """Options that leave no tag out."""
    return {"ignore_labels": ()}


def squad_options(examples: Sequence[Example]) -> Mapping[str, Any]:
    """Options of the data set's own evaluation."""
    # As the data set's own evaluation does: answers of up to 30 tokens, and "there is none"
    # only where the data has such questions.
    none = any(
        not example.label or not right_answers(example, TaskSettings()) for example in examples
    )
    return {"max_answer_len": 30, "handle_impossible_answer": none}
