"""Reranking: how well a document answers a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.manifest import TaskSettings
from edge_tx.tasks.common import (
    ACTIVATIONS,
    BaseTask,
    Options,
    Pair,
    as_pair,
    is_text,
    one_of,
    plain_rows,
    prompted,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["Ranked", "Ranking", "RankingOptions", "TextRanking", "ranked"]

_TAKES = "a pair (query, document), or {'query', 'document'}"


@light.dataclass(frozen=True, slots=True)
class RankingOptions(Options):
    """Options of reranking.

    Attributes:
        activation: What turns the logit into a score: ``"sigmoid"`` or ``"none"``; what the
            checkpoint says if None, and sigmoid if it says nothing.
        prompt_name: Name of one of the model's prompts, put before the query; the model's
            default prompt if neither this nor ``prompt`` is given.
        prompt: The prompt itself; ``""`` for none. It goes before ``prompt_name``.
    """

    activation: str | None = None
    prompt_name: str | None = None
    prompt: str | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        one_of("activation", self.activation, (None, "sigmoid", "none"))
        is_text("prompt_name", self.prompt_name, optional=True)
        is_text("prompt", self.prompt, optional=True)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well a document answers a query.

    Attributes:
        score: The higher the better.
        truncated: Tokens of query and document that the model did not see.
    """

    score: float
    truncated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"score": self.score, "truncated": self.truncated}

    def answer(self) -> object:
        """Nothing discrete: order is between documents."""
        return None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document's place among others.

    Attributes:
        index: Of the document, in the list that was given.
        score: The higher the better.
        truncated: Tokens of query and document that the model did not see.
    """

    index: int
    score: float
    truncated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"index": self.index, "score": self.score, "truncated": self.truncated}


def ranked(results: Sequence[Ranking]) -> list[Ranked]:
    """Sorts the documents of one query, the best first; equal scores keep their order."""
    places = [Ranked(i, result.score, result.truncated) for i, result in enumerate(results)]
    return sorted(places, key=lambda place: place.score, reverse=True)


class TextRanking(BaseTask[RankingOptions]):
    """Pairs to scores, as sentence-transformers' ``CrossEncoder.predict`` gives them.

    Raises:
        InvalidConfig: The model has more than one output.
    """

    name = "text-ranking"
    outputs = ("logits",)
    options_type = RankingOptions

    def __init__(self, settings: TaskSettings, stamp: str = "") -> None:
        super().__init__(settings, stamp)
        if len(settings.labels) > 1:
            raise InvalidConfig(
                f"'{self.name}' needs a model of one output, and this one has "
                f"{len(settings.labels)} labels: use 'text-classification'"
            )
        self._activation = settings.activation or "sigmoid"
        one_of("activation of the model", self._activation, tuple(ACTIVATIONS))

    def options(self, **overrides: Any) -> RankingOptions:
        """The call options; a prompt's name must be one the model has."""
        options = super().options(**overrides)
        name = options.prompt_name
        if name is not None and name not in self.settings.prompts:
            raise UnknownName("prompt", name, self.settings.prompts)
        return options

    def parse(self, value: Any, options: RankingOptions) -> Pair:
        """A query and a document."""
        return as_pair(value, ("query", "document"), _TAKES)

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[Pair], options: RankingOptions
    ) -> list[Row]:
        """One row per pair, with the prompt before the query."""
        prompt = options.prompt
        if prompt is None:
            name = options.prompt_name or self.settings.default_prompt
            prompt = self.settings.prompts.get(name, "")
        return plain_rows(tokenizer, prompted(items, prompt), options)

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: RankingOptions
    ) -> list[float]:
        """One score per row."""
        logits = outputs["logits"].astype(np.float32)
        if logits.shape[-1] != 1:
            raise InvalidConfig(
                f"'{self.name}' needs one score, the graph gives {logits.shape[-1]}"
            )
        scores = ACTIVATIONS[options.activation or self._activation](logits)
        return scores[:, 0].tolist()  # type: ignore[no-any-return]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: Pair,
        rows: Sequence[Row],
        parts: Sequence[float],
        options: RankingOptions,
    ) -> Ranking:
        """The pair's score."""
        return Ranking(parts[0], rows[0].truncated)
