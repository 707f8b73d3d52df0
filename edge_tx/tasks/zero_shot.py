"""Zero-shot classification: labels of the user's own, judged by an NLI model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidConfig
from edge_tx.manifest import TaskSettings
from edge_tx.tasks.common import (
    BaseTask,
    Floats,
    Options,
    as_text,
    check_width,
    is_bool,
    is_text,
    labels_of,
    names,
    plain_rows,
    softmax,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer, refuse_surrogates

__all__ = ["ZeroShot", "ZeroShotClassification", "ZeroShotOptions"]


@light.dataclass(frozen=True, slots=True)
class ZeroShotOptions(Options):
    """Options of zero-shot classification.

    Attributes:
        labels: The labels to choose from; a list, or a text with commas. Required.
        hypothesis_template: What is claimed of the text, with ``{}`` where the label goes.
        multi_label: Whether each label is judged by itself, rather than one against the others.
    """

    labels: Sequence[str] = ()
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        labels = names("labels", self.labels)
        object.__setattr__(self, "labels", labels)
        for label in labels:
            refuse_surrogates(label)
        is_text("hypothesis_template", self.hypothesis_template)
        is_bool("multi_label", self.multi_label)
        refuse_surrogates(self.hypothesis_template)
        try:
            fits = self.hypothesis_template.format("x") != self.hypothesis_template
        except (LookupError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise InvalidConfig(
                f"hypothesis_template {self.hypothesis_template!r} must have one {{}} where the "
                "label goes"
            )


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """How well labels fit a text.

    Attributes:
        labels: The likeliest first.
        scores: Theirs, in the same order.
        multi_label: Whether each was judged by itself.
        truncated: Tokens of the text that the model did not see.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    multi_label: bool
    truncated: int

    @property
    def label(self) -> str:
        """The likeliest."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The likeliest's."""
        return self.scores[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "labels": list(self.labels),
            "scores": list(self.scores),
            "truncated": self.truncated,
        }

    def answer(self) -> object:
        """The likeliest label; of a multi-label call those over one half."""
        if not self.multi_label:
            return self.labels[0]
        pairs = zip(self.labels, self.scores, strict=True)
        return tuple(sorted(label for label, score in pairs if score > 0.5))


class ZeroShotClassification(BaseTask[ZeroShotOptions]):
    """Texts to labels, as transformers' ``ZeroShotClassificationPipeline`` gives them.

    Raises:
        InvalidConfig: The model's labels do not say which of them is entailment.
    """

    name = "zero-shot-classification"
    outputs = ("logits",)
    options_type = ZeroShotOptions

    def __init__(self, settings: TaskSettings, stamp: str = "") -> None:
        super().__init__(settings, stamp)
        self._nli = labels_of(settings, self.name)
        entailment = [i for i, label in enumerate(self._nli) if label.lower().startswith("entail")]
        if not entailment or len(self._nli) < 2:
            raise InvalidConfig(
                f"'{self.name}' needs an NLI model with a label 'entailment'; this one has "
                f"{', '.join(self._nli)}: name them in config.json (id2label and label2id)"
            )
        self._entailment = entailment[0]
        self._contradiction = -1 if self._entailment == 0 else 0

    def parse(self, value: Any, options: ZeroShotOptions) -> str:
        """A text."""
        if not options.labels:
            raise InvalidConfig(f"'{self.name}' needs the option labels, e.g. labels='sport, art'")
        return as_text(value)

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[str], options: ZeroShotOptions
    ) -> list[Row]:
        """One row per text and label; only the text is cut."""
        claims = [options.hypothesis_template.format(label) for label in options.labels]
        pairs = [(text, claim) for text in items for claim in claims]
        rows = plain_rows(tokenizer, pairs, options, truncation="only_first")
        count = len(claims)
        return [row._replace(item=i // count, part=i % count) for i, row in enumerate(rows)]

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: ZeroShotOptions
    ) -> list[Floats]:
        """Logits of contradiction and entailment per row."""
        logits = outputs["logits"]
        check_width(logits, self._nli)
        return list(logits[:, [self._contradiction, self._entailment]].astype(np.float32))

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str,
        rows: Sequence[Row],
        parts: Sequence[Floats],
        options: ZeroShotOptions,
    ) -> ZeroShot:
        """Labels and scores, the likeliest first."""
        logits = np.stack(parts)
        alone = options.multi_label or len(options.labels) == 1
        scores = softmax(logits)[:, 1] if alone else softmax(logits[:, 1])
        order = scores.argsort()[::-1].tolist()
        return ZeroShot(
            labels=tuple(options.labels[rows[i].part] for i in order),
            scores=tuple(scores[order].tolist()),
            multi_label=options.multi_label,
            truncated=max(row.truncated for row in rows),
        )
