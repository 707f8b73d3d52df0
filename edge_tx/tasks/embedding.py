"""Sentence embedding: one vector per text, pooled and normalised inside the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.tasks.common import (
    BaseTask,
    Floats,
    Options,
    as_text,
    at_least,
    is_bool,
    is_text,
    plain_rows,
    prompted,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["Embedding", "EmbeddingOptions", "SentenceEmbedding"]


@light.dataclass(frozen=True, slots=True)
class EmbeddingOptions(Options):
    """Options of sentence embedding.

    Attributes:
        prompt_name: Name of one of the model's prompts, put before the text; the model's
            default prompt if neither this nor ``prompt`` is given.
        prompt: The prompt itself; ``""`` for none. It goes before ``prompt_name``.
        dimensions: Keep only the first so many numbers (Matryoshka models); all if None.
        normalize: Scale the vector to length 1 at the end, after ``dimensions``. What the
            checkpoint itself says of normalisation is in the graph already.
    """

    prompt_name: str | None = None
    prompt: str | None = None
    dimensions: int | None = None
    normalize: bool = False

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        at_least("dimensions", self.dimensions, 1)
        is_text("prompt_name", self.prompt_name, optional=True)
        is_text("prompt", self.prompt, optional=True)
        is_bool("normalize", self.normalize)


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A text's vector.

    Attributes:
        vector: ``float32[dim]``.
        tokens: Tokens the model read, special ones included.
        truncated: Tokens of the text that it did not see.
        stamp: Of the graph that made it: vectors of different stamps must not be compared; see
            :func:`edge_tx.same_space`.
    """

    vector: Floats
    tokens: int
    truncated: int
    stamp: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "vector": self.vector.tolist(),
            "tokens": self.tokens,
            "truncated": self.truncated,
            **({"stamp": self.stamp} if self.stamp else {}),
        }

    def answer(self) -> object:
        """Nothing discrete."""
        return None


class SentenceEmbedding(BaseTask[EmbeddingOptions]):
    """Texts to vectors, as ``SentenceTransformer.encode`` gives them."""

    name = "sentence-embedding"
    outputs = ("sentence_embedding",)
    options_type = EmbeddingOptions

    def options(self, **overrides: Any) -> EmbeddingOptions:
        """The call options; a prompt's name must be one the model has."""
        options = super().options(**overrides)
        name = options.prompt_name
        if name is not None and name not in self.settings.prompts:
            raise UnknownName("prompt", name, self.settings.prompts)
        if options.prompt and not self.settings.include_prompt:
            raise InvalidConfig(
                "this model's pooling leaves a prompt out, which its graph cannot do: embed texts "
                "without a prompt"
            )
        return options

    def parse(self, value: Any, options: EmbeddingOptions) -> str:
        """A text."""
        return as_text(value)

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[str], options: EmbeddingOptions
    ) -> list[Row]:
        """One row per text, after the prompt."""
        return plain_rows(tokenizer, prompted(items, self._prompt(options)), options)

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: EmbeddingOptions
    ) -> list[Floats]:
        """One vector per row."""
        vectors = outputs["sentence_embedding"]
        if options.dimensions is not None:
            if options.dimensions > vectors.shape[1]:
                raise InvalidConfig(
                    f"dimensions must be at most the model's {vectors.shape[1]}, "
                    f"not {options.dimensions}"
                )
            vectors = vectors[:, : options.dimensions]
        if options.normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.float32(1e-12))
        return [vector.astype(np.float32) for vector in vectors]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str,
        rows: Sequence[Row],
        parts: Sequence[Floats],
        options: EmbeddingOptions,
    ) -> Embedding:
        """The text's vector."""
        return Embedding(parts[0], len(rows[0].ids), rows[0].truncated, self.stamp)

    def _prompt(self, options: EmbeddingOptions) -> str:
        if options.prompt is not None:
            return options.prompt
        return self.settings.prompts.get(options.prompt_name or self.settings.default_prompt, "")
