"""Results for people: one line or a few per input. Programs take ``--json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Lines", "shortened"]

_WIDTH = 44
_MOST_COMPARED = 8


class Lines:
    """Renders the results of one run.

    Args:
        task: Name of the task.
    """

    def __init__(self, task: str) -> None:
        self._render = _RENDERERS.get(task, _record)
        self._compares = task == "sentence-embedding"
        self._vectors: list[tuple[str, Any]] = []

    def of(self, value: Any, result: Any) -> str:
        """The lines of one input."""
        if self._compares and len(self._vectors) <= _MOST_COMPARED:
            self._vectors.append((_shown(value), result.vector))
        return "\n".join(self._render(_shown(value), result))

    def end(self) -> str:
        """What is said after the last input: how alike a few embeddings are."""
        if not 2 <= len(self._vectors) <= _MOST_COMPARED:
            return ""
        return "\n".join(["", "cosine", *_similarities(self._vectors)])


def shortened(text: str, width: int = _WIDTH) -> str:
    """A text on one line, its end cut off if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return shortened(value)
    parts = value.values() if isinstance(value, Mapping) else value
    return shortened(" | ".join(map(str, parts)))


def _embedding(text: str, result: Any) -> Iterator[str]:
    first = ", ".join(f"{number:.4f}" for number in result.vector[:4])
    yield f"[{first}, …] {result.vector.size} numbers  {text}"


def _similarities(vectors: list[tuple[str, Any]]) -> Iterator[str]:
    import numpy as np

    stacked = np.stack([vector for _, vector in vectors])
    unit = stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)
    for (text, _), row in zip(vectors, unit @ unit.T, strict=True):
        yield " ".join(f"{cosine:6.3f}" for cosine in row) + f"  {text}"


def _features(text: str, result: Any) -> Iterator[str]:
    tokens, size = result.features.shape
    yield f"{tokens} tokens of {size} numbers  {text}"


def _classification(text: str, result: Any) -> Iterator[str]:
    label = ", ".join(result.labels) or result.label
    yield f"{label}  {result.score:.4f}  {text}"


def _ranking(text: str, result: Any) -> Iterator[str]:
    yield f"{result.score:8.4f}  {text}"


def _entities(text: str, result: Any) -> Iterator[str]:
    yield text
    for entity in result.entities:
        yield f"  {entity.score:.4f}  {entity.label:8} {entity.text}  ({entity.start}-{entity.end})"


def _answers(text: str, result: Any) -> Iterator[str]:
    yield text
    for answer in result.answers:
        place = f"({answer.start}-{answer.end})" if answer.answer else "(no answer)"
        yield f"  {answer.score:.4f}  {shortened(answer.answer)}  {place}"


def _fills(text: str, result: Any) -> Iterator[str]:
    yield text
    for number, mask in enumerate(result.masks, 1):
        if len(result.masks) > 1:
            yield f"  mask {number}"
        yield from (f"  {fill.score:.4f}  {fill.token}" for fill in mask)


def _zero_shot(text: str, result: Any) -> Iterator[str]:
    yield text
    for label, score in zip(result.labels, result.scores, strict=True):
        yield f"  {score:.4f}  {label}"


def _record(_text: str, result: Any) -> Iterator[str]:
    yield json.dumps(result.to_dict(), ensure_ascii=False)


_RENDERERS: dict[str, Callable[[str, Any], Iterator[str]]] = {
    "sentence-embedding": _embedding,
    "feature-extraction": _features,
    "text-classification": _classification,
    "text-ranking": _ranking,
    "token-classification": _entities,
    "question-answering": _answers,
    "fill-mask": _fills,
    "zero-shot-classification": _zero_shot,
}
