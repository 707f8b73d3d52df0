"""Text classification: single label, multi label and regression, of texts and pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx import light
from edge_tx.manifest import TaskSettings
from edge_tx.tasks.common import (
    ACTIVATIONS,
    BaseTask,
    Floats,
    Options,
    Pair,
    as_pair,
    as_text,
    at_least,
    check_width,
    labels_of,
    one_of,
    plain_rows,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["Classification", "ClassificationOptions", "TextClassification"]

_TAKES = "a text, a pair (text, text), or {'text', 'text_pair'}"


@light.dataclass(frozen=True, slots=True)
class ClassificationOptions(Options):
    """Options of text classification.

    Attributes:
        top_k: Keep only the best so many labels in ``scores``; all if None.
        function_to_apply: What turns logits into scores: ``"sigmoid"``, ``"softmax"`` or
            ``"none"``; by the model's kind if None.
    """

    top_k: int | None = None
    function_to_apply: str | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        at_least("top_k", self.top_k, 1)
        one_of("function_to_apply", self.function_to_apply, (None, *ACTIVATIONS))


@dataclass(frozen=True, slots=True)
class Classification:
    """What a text is.

    Attributes:
        label: The label with the highest score.
        score: Its score.
        scores: Scores by label, the highest first.
        labels: The labels that hold: the best one; those over one half of a multi-label
            model; none of a regression.
        truncated: Tokens of the input that the model did not see.
    """

    label: str
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...]
    truncated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "label": self.label,
            "score": self.score,
            "scores": dict(self.scores),
            "labels": list(self.labels),
            "truncated": self.truncated,
        }

    def answer(self) -> object:
        """The labels that hold, in no order of likelihood; None of a regression."""
        # Several labels of which none holds are an answer; one number is not.
        return tuple(sorted(self.labels)) if self.labels or len(self.scores) > 1 else None


class TextClassification(BaseTask[ClassificationOptions]):
    """Texts to labels, as transformers' ``TextClassificationPipeline`` gives them.

    Raises:
        InvalidConfig: The model has no labels.
    """

    name = "text-classification"
    outputs = ("logits",)
    options_type = ClassificationOptions

    def __init__(self, settings: TaskSettings, stamp: str = "") -> None:
        super().__init__(settings, stamp)
        self._labels = labels_of(settings, self.name)
        self._regression = settings.problem_type == "regression"
        # The pipeline's rules: one output is a yes or no, unless it is said to be a number.
        yes_or_no = settings.problem_type == "multi_label_classification" or len(self._labels) == 1
        self._activation = "none" if self._regression else "sigmoid" if yes_or_no else "softmax"
        self._several = yes_or_no and len(self._labels) > 1

    def parse(self, value: Any, options: ClassificationOptions) -> str | Pair:
        """A text or a pair."""
        if isinstance(value, str) or (isinstance(value, Mapping) and "text_pair" not in value):
            return as_text(value, _TAKES)
        first, second = as_pair(value, ("text", "text_pair"), _TAKES)
        # An empty second text is no text to transformers' tokenizers.
        return (first, second) if second else first

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[str | Pair], options: ClassificationOptions
    ) -> list[Row]:
        """One row per text or pair."""
        return plain_rows(tokenizer, items, options)

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: ClassificationOptions
    ) -> list[Floats]:
        """Logits, ``float32[labels]`` per row."""
        logits = outputs["logits"]
        check_width(logits, self._labels)
        return list(logits.astype(np.float32))

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str | Pair,
        rows: Sequence[Row],
        parts: Sequence[Floats],
        options: ClassificationOptions,
    ) -> Classification:
        """Labels and scores, the highest first."""
        scores = ACTIVATIONS[options.function_to_apply or self._activation](parts[0]).tolist()
        ranking = sorted(zip(self._labels, scores, strict=True), key=_score, reverse=True)
        label, score = ranking[0]
        return Classification(
            label=label,
            score=score,
            scores=dict(ranking[: options.top_k]),
            labels=self._holding(parts[0], label),
            truncated=rows[0].truncated,
        )

    def _holding(self, logits: Floats, best: str) -> tuple[str, ...]:
        if self._regression:
            return ()
        if not self._several:
            return (best,)
        pairs = zip(self._labels, logits.tolist(), strict=True)
        return tuple(label for label, logit in pairs if logit > 0)


def _score(pair: tuple[str, float]) -> float:
    return pair[1]
