"""What a result becomes in a table: the columns of each task, with their types.

A type is ``"text"``, ``"real"``, ``"whole"`` or ``"vector"``; ``[type]`` is a list of it, and a
mapping is a struct. Types are fixed, so that all the shards of a job have one schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx.errors import InvalidConfig
from edge_tx.tensors import Array

__all__ = ["EMBEDDING_TYPES", "Field", "arrow_type", "fields_of", "quantized", "stacked"]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the output.

    Attributes:
        name: Its name.
        type: Its type, see above.
        of: Its value of a result, as Arrow takes it.
        plain: Its value as JSON lines have it, where that differs.
    """

    name: str
    type: Any
    of: Callable[[Any], Any]
    plain: Callable[[Any], Any] | None = None

    def as_json(self, result: Any) -> Any:
        """Its value for JSON lines."""
        return (self.plain or self.of)(result)


def _same(name: str, kind: Any) -> Field:
    return Field(name, kind, lambda result: getattr(result, name))


def _part(name: str, kind: Any) -> Field:
    """A column that is as ``to_dict`` gives it."""
    return Field(name, kind, lambda result: result.to_dict()[name])


_TRUNCATED = _same("truncated", "whole")
_SPAN = {"start": "whole", "end": "whole"}

_FIELDS: Mapping[str, tuple[Field, ...]] = {
    "sentence-embedding": (
        Field("embedding", "vector", lambda result: result.vector),
        _same("tokens", "whole"),
        _TRUNCATED,
    ),
    "feature-extraction": (
        Field("features", [["real"]], lambda result: result.features.tolist()),
        _part("tokens", ["text"]),
        _part("offsets", [["whole"]]),
        _TRUNCATED,
    ),
    "text-classification": (
        _same("label", "text"),
        _same("score", "real"),
        Field(
            "scores",
            [{"label": "text", "score": "real"}],
            lambda result: [{"label": la, "score": s} for la, s in result.scores.items()],
            lambda result: dict(result.scores),
        ),
        _part("labels", ["text"]),
        _TRUNCATED,
    ),
    "text-ranking": (_same("score", "real"), _TRUNCATED),
    "token-classification": (
        _part(
            "entities",
            [{"label": "text", "score": "real", "word": "text", "text": "text", **_SPAN,
              "index": "whole"}],
        ),
        _TRUNCATED,
    ),
    "question-answering": (
        _part("answers", [{"answer": "text", "score": "real", **_SPAN}]),
        _TRUNCATED,
    ),
    "fill-mask": (
        _part(
            "masks",
            [[{"token": "text", "token_id": "whole", "score": "real", "sequence": "text"}]],
        ),
        _TRUNCATED,
    ),
    "zero-shot-classification": (
        _part("labels", ["text"]),
        _part("scores", ["real"]),
        _TRUNCATED,
    ),
}  # fmt: skip


def fields_of(task: str) -> tuple[Field, ...]:
    """The columns of a task's results."""
    return _FIELDS[task]


def arrow_type(pa: Any, kind: Any) -> Any:
    """The Arrow type of one of ours."""
    if isinstance(kind, list):
        return pa.list_(arrow_type(pa, kind[0]))
    if isinstance(kind, Mapping):
        return pa.struct([(name, arrow_type(pa, inner)) for name, inner in kind.items()])
    return {"text": pa.string(), "real": pa.float64(), "whole": pa.int64()}[kind]


# --------------------------------------------------------------------------------- vectors


def _halved(vectors: Array) -> tuple[Array, Array | None]:
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    if not np.isfinite(halves).all():
        raise InvalidConfig("an embedding does not fit float16: choose float32")
    return halves, None


EMBEDDING_TYPES: Mapping[str, Callable[[Array], tuple[Array, Array | None]]] = {
    "float32": lambda vectors: (vectors, None),
    "float16": _halved,
    "int8": lambda vectors: quantized(vectors),
}


def quantized(vectors: Array) -> tuple[Array, Array]:
    """Vectors as int8 with a scale each: ``vector = scale * int8``, wrong by half a scale at most.

    The scale is symmetric, so that cosine similarities can be taken of the int8 numbers alone.

    Args:
        vectors: ``float32[rows, dim]``.

    Returns:
        ``int8[rows, dim]`` and ``float32[rows]``.
    """
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (largest / np.float32(127)).astype(np.float32)
    # Below the smallest normal number a scale is inexact, or nought; such rows are noughts.
    scales = np.where(scales >= np.finfo(np.float32).tiny, scales, np.float32(1))
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def stacked(results: Sequence[Any], dim: int) -> Array:
    """The vectors of results, ``float32[rows, dim]``."""
    if not results:
        return np.empty((0, dim), np.float32)
    return np.stack([result.vector for result in results])
