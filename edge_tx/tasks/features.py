"""Token features: one vector per token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx.tasks.common import BaseTask, Floats, Options, as_text, plain_rows
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["FeatureExtraction", "TokenFeatures"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenFeatures:
    """The vectors of a text's tokens, special ones included.

    Attributes:
        features: ``float32[tokens, dim]``.
        tokens: The tokens.
        offsets: Characters of the text that each token covers; ``(0, 0)`` for special ones.
        truncated: Tokens of the text that the model did not see.
        stamp: Of the graph that made it: vectors of different stamps must not be compared; see
            :func:`edge_tx.same_space`.
    """

    features: Floats
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    truncated: int
    stamp: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "features": self.features.tolist(),
            "tokens": list(self.tokens),
            "offsets": [list(span) for span in self.offsets],
            "truncated": self.truncated,
            **({"stamp": self.stamp} if self.stamp else {}),
        }

    def answer(self) -> object:
        """Nothing discrete."""
        return None


class FeatureExtraction(BaseTask[Options]):
    """Texts to token vectors, as transformers' ``FeatureExtractionPipeline`` gives them."""

    name = "feature-extraction"
    outputs = ("last_hidden_state",)
    options_type = Options

    def parse(self, value: Any, options: Options) -> str:
        """A text."""
        return as_text(value)

    def encode(self, tokenizer: Tokenizer, items: Sequence[str], options: Options) -> list[Row]:
        """One row per text."""
        return plain_rows(tokenizer, items, options)

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: Options
    ) -> list[Floats]:
        """``float32[tokens, dim]`` per row."""
        hidden = outputs["last_hidden_state"]
        return [row.own(line).astype(np.float32) for row, line in zip(rows, hidden, strict=True)]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str,
        rows: Sequence[Row],
        parts: Sequence[Floats],
        options: Options,
    ) -> TokenFeatures:
        """The tokens and their vectors."""
        row = rows[0]
        tokens = tuple(map(tokenizer.token_of, row.ids))
        offsets = tuple(row.encoding.offsets)
        return TokenFeatures(parts[0], tokens, offsets, row.truncated, self.stamp)
