"""The table of metrics: what each is for, what its labels look like, what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx import metric_values as values
from edge_tx import metrics
from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.examples import Example
from edge_tx.manifest import TaskSettings
from edge_tx.metric_values import Answered

__all__ = ["METRICS", "Answered", "Metric", "find_metric", "metrics_of", "usual_metric"]


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
        inputs: Inputs that an example must have; 0 for any number.
        undefined: Why the number says nothing of any answers to what is expected; empty if it
            does.
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
    inputs: int = 0
    undefined: Callable[[Sequence[Any]], str] = lambda expected: ""

    @property
    def labelled(self) -> bool:
        """Whether it needs labels."""
        return bool(self.labels)

    def expected(self, example: Example, settings: TaskSettings) -> Any:
        """What is compared, from an example's label.

        Raises:
            InvalidInput: The label cannot be used; says where and what it should be.
        """
        try:
            return self.expect(example, settings)
        except (ValueError, TypeError, LookupError) as exc:
            raise InvalidInput(
                f"{example.place}: a label of {self.name} is {self.labels}: {exc}"
            ) from exc


_CLASS = "a label's name or its number (a list of them for several labels)"
_SPANS = 'a tag for each word, e.g. ["O", "B-PER", "I-PER"]'
_RIGHT = (
    'the right answers: a text, a list of texts, or SQuAD\'s {"text": [...]}; none for no answer'
)
_SIMILAR = "a number, the larger the more alike"
# Tasks whose answers are the same or are not; vectors and scores are more or less alike.
_DISCRETE = (
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "zero-shot-classification",
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "accuracy",
        ("text-classification",),
        "share of right labels",
        _CLASS,
        0,
        values.label,
        values.label_names,
        metrics.accuracy,
    ),
    Metric(
        "f1",
        ("text-classification",),
        "mean of the labels' F1 (macro)",
        _CLASS,
        0,
        values.label,
        values.label_names,
        metrics.macro_f1,
    ),
    Metric(
        "f1_binary",
        ("text-classification",),
        "F1 of the second of two labels, by name",
        _CLASS,
        0,
        values.label,
        values.second_label,
        values.second_f1,
        undefined=values.no_second_label,
    ),
    Metric(
        "accuracy",
        ("zero-shot-classification",),
        "share of right labels",
        "a label's name",
        0,
        values.first_label,
        values.own_label,
        metrics.accuracy,
    ),
    Metric(
        "f1",
        ("token-classification",),
        "micro F1 of entities (seqeval)",
        _SPANS,
        0,
        values.tags,
        values.word_tags,
        metrics.span_f1,
        values.all_tags,
        undefined=values.no_entity,
    ),
    Metric(
        "f1",
        ("question-answering",),
        "mean F1 of the answers' words (SQuAD)",
        _RIGHT,
        0,
        values.answer,
        values.right_answers,
        metrics.answer_f1,
        values.squad_options,
    ),
    Metric(
        "em",
        ("question-answering",),
        "share of answers that are right to the word (SQuAD)",
        _RIGHT,
        0,
        values.answer,
        values.right_answers,
        metrics.answer_exact,
        values.squad_options,
    ),
    Metric(
        "spearman",
        ("sentence-embedding",),
        "rank correlation of the cosine of two texts",
        _SIMILAR,
        -1,
        values.vectors_cosine,
        values.number,
        metrics.spearman,
        undefined=values.no_spread,
        inputs=2,
    ),
    Metric(
        "pearson",
        ("sentence-embedding",),
        "correlation of the cosine of two texts",
        _SIMILAR,
        -1,
        values.vectors_cosine,
        values.number,
        metrics.pearson,
        undefined=values.no_spread,
        inputs=2,
    ),
    Metric(
        "spearman",
        ("text-ranking", "text-classification"),
        "rank correlation of the scores",
        _SIMILAR,
        -1,
        values.score,
        values.number,
        metrics.spearman,
        undefined=values.no_spread,
    ),
    Metric(
        "pearson",
        ("text-ranking", "text-classification"),
        "correlation of the scores",
        _SIMILAR,
        -1,
        values.score,
        values.number,
        metrics.pearson,
        undefined=values.no_spread,
    ),
    Metric(
        "cosine",
        (),
        "mean cosine to the fp32 graph's outputs",
        "",
        -1,
        values.outputs,
        values.nothing,
        values.mean_cosine,
    ),
    Metric(
        "agreement",
        _DISCRETE,
        "share of answers that are the fp32 graph's",
        "",
        0,
        values.answers,
        values.nothing,
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


def usual_metric(task: str, examples: Sequence[Example], settings: TaskSettings) -> Metric | None:
    """The metric that is measured where none is named: the task's first that fits the labels.

    Args:
        task: Name of the task.
        examples: Its rows, with labels or without.
        settings: Of the model, e.g. its labels.

    Returns:
        None if the rows have no labels, or some that no metric of the task takes.
    """
    fitting = (row for row in metrics_of(task).values() if row.labelled)
    return next((row for row in fitting if examples and _fits(row, examples, settings)), None)


def _fits(metric: Metric, examples: Sequence[Example], settings: TaskSettings) -> bool:
    if any(metric.inputs not in (0, len(example.inputs)) for example in examples):
        return False
    try:
        for example in examples:
            metric.expect(example, settings)
    except (ValueError, TypeError, LookupError):
        return False
    return True
