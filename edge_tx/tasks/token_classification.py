"""Token classification: named entities and other spans, with their characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
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
    at_least,
    check_width,
    labels_of,
    names,
    one_of,
    plain_rows,
    softmax,
    window_rows,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["Entities", "Entity", "TokenClassification", "TokenOptions"]

_AGGREGATIONS = ("none", "simple", "first", "average", "max")


@light.dataclass(frozen=True, slots=True)
class TokenOptions(Options):
    """Options of token classification.

    Attributes:
        aggregation: ``"none"`` gives one entity per token. The others join neighbours of one
            kind: ``"simple"`` by token; ``"first"``, ``"average"`` and ``"max"`` first give
            all the pieces of a word one label, that of its first piece, of the mean of their
            scores, or of the piece that is surest.
        ignore_labels: Labels to leave out; a list, or a text with commas.
        stride: Tokens that neighbouring windows share. If given, a long text is read in
            windows instead of being cut.
    """

    aggregation: str = "none"
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        one_of("aggregation", self.aggregation, _AGGREGATIONS)
        at_least("stride", self.stride, 0)
        object.__setattr__(self, "ignore_labels", names("ignore_labels", self.ignore_labels))
        if self.stride is not None and self.aggregation == "none":
            raise InvalidConfig("a stride needs an aggregation other than 'none': try 'simple'")


@dataclass(frozen=True, slots=True)
class Entity:
    """A token, or neighbouring tokens of one kind.

    Attributes:
        label: Its kind, without ``B-`` and ``I-`` if tokens were joined.
        score: Probability; the mean over what was joined.
        word: The tokens as the tokenizer decodes them.
        text: The characters of the input.
        start: First character.
        end: Character after the last.
        index: Of the token in its row; None if tokens were joined.
    """

    label: str
    score: float
    word: str
    text: str
    start: int
    end: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Entities:
    """What was found in a text.

    Attributes:
        entities: In the order of the text.
        truncated: Tokens of the text that the model did not see.
    """

    entities: tuple[Entity, ...]
    truncated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [{name: getattr(e, name) for name in Entity.__slots__} for e in self.entities]
        return {"entities": rows, "truncated": self.truncated}

    def answer(self) -> object:
        """Labels and spans."""
        return tuple((e.label, e.start, e.end) for e in self.entities)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token, or the tokens of a word or an entity, on the way."""

    label: str
    score: float
    word: str
    start: int
    end: int
    index: int
    inside: bool = False  # continues a word


class TokenClassification(BaseTask[TokenOptions]):
    """Texts to entities, as transformers' ``TokenClassificationPipeline`` gives them.

    Raises:
        InvalidConfig: The model has no labels.
    """

    name = "token-classification"
    outputs = ("logits",)
    options_type = TokenOptions

    def __init__(self, settings: TaskSettings, stamp: str = "") -> None:
        super().__init__(settings, stamp)
        self._labels = labels_of(settings, self.name)

    def parse(self, value: Any, options: TokenOptions) -> str:
        """A text."""
        return as_text(value)

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[str], options: TokenOptions
    ) -> list[Row]:
        """One row per text, or one per window if there is a stride."""
        if options.stride is None:
            return plain_rows(tokenizer, items, options)
        return window_rows(
            tokenizer, items, options.max_length, options.stride, truncation="longest_first"
        )

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: TokenOptions
    ) -> list[Floats]:
        """Probabilities, ``float32[tokens, labels]`` per row."""
        logits = outputs["logits"]
        check_width(logits, self._labels)
        return [
            softmax(row.own(line).astype(np.float32))
            for row, line in zip(rows, logits, strict=True)
        ]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str,
        rows: Sequence[Row],
        parts: Sequence[Floats],
        options: TokenOptions,
    ) -> Entities:
        """The entities of all windows."""
        windows = (
            self._window(tokenizer, item, row, part, options)
            for row, part in zip(rows, parts, strict=True)
        )
        found = [e for e in chain.from_iterable(windows) if e.label not in options.ignore_labels]
        if len(rows) > 1:
            found = _without_overlaps(found)
        return Entities(tuple(found), rows[0].truncated)

    def _window(
        self, tokenizer: Tokenizer, text: str, row: Row, scores: Floats, options: TokenOptions
    ) -> Iterator[Entity]:
        pieces = list(self._pieces(tokenizer, text, row, scores))
        single = options.aggregation == "none"
        if not single:
            choose = _CHOICES.get(options.aggregation)
            if choose is not None:
                pieces = [
                    self._word(tokenizer, word, scores, choose) for word in _split(pieces, _in_word)
                ]
            pieces = [_joined(tokenizer, group) for group in _split(pieces, _in_entity)]
        for p in pieces:
            span = text[p.start : p.end]
            index = p.index if single else None
            yield Entity(p.label, p.score, p.word, span, p.start, p.end, index)

    def _pieces(
        self, tokenizer: Tokenizer, text: str, row: Row, scores: Floats
    ) -> Iterator[_Piece]:
        """The tokens of the text itself, with the likeliest label of each."""
        unknown = tokenizer.policy.special.get("unk")
        marked = tokenizer.marks_subwords
        best = scores.argmax(axis=-1).tolist()
        top = scores.max(axis=-1).tolist()
        added = row.encoding.special_tokens_mask
        for index, (start, end) in enumerate(row.encoding.offsets):
            if added[index]:
                continue
            word = tokenizer.token_of(row.ids[index])
            if row.ids[index] == unknown:
                word, inside = text[start:end], False
            elif marked:
                inside = len(word) != end - start
            else:  # no mark in the piece: it continues a word unless a space is near
                inside = start > 0 and " " not in text[start - 1 : start + 1]
            yield _Piece(self._labels[best[index]], top[index], word, start, end, index, inside)

    def _word(
        self,
        tokenizer: Tokenizer,
        pieces: Sequence[_Piece],
        scores: Floats,
        choose: Callable[[Floats], Floats],
    ) -> _Piece:
        chosen = choose(scores[[piece.index for piece in pieces]])
        best = int(chosen.argmax())
        word = tokenizer.join([piece.word for piece in pieces])
        first, last = pieces[0], pieces[-1]
        label, score = self._labels[best], float(chosen[best])
        return _Piece(label, score, word, first.start, last.end, first.index)


def _first(scores: Floats) -> Floats:
    return np.asarray(scores[0])


def _average(scores: Floats) -> Floats:
    return np.asarray(scores.mean(axis=0), dtype=np.float32)


def _surest(scores: Floats) -> Floats:
    return np.asarray(scores[int(scores.max(axis=-1).argmax())])


_CHOICES: Mapping[str, Callable[[Floats], Floats]] = {
    "first": _first,
    "average": _average,
    "max": _surest,
}


def _in_word(before: _Piece, piece: _Piece) -> bool:
    return piece.inside


def _in_entity(before: _Piece, piece: _Piece) -> bool:
    begins, kind = _tag(piece.label)
    return not begins and kind == _tag(before.label)[1]


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and its kind."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _split(
    pieces: Sequence[_Piece], together: Callable[[_Piece, _Piece], bool]
) -> Iterator[Sequence[_Piece]]:
    """Runs of pieces in which each belongs together with the one before."""
    start = 0
    for i in range(1, len(pieces)):
        if not together(pieces[i - 1], pieces[i]):
            yield pieces[start:i]
            start = i
    if pieces:
        yield pieces[start:]


def _joined(tokenizer: Tokenizer, group: Sequence[_Piece]) -> _Piece:
    first, last = group[0], group[-1]
    return _Piece(
        label=first.label.split("-", 1)[-1],
        score=sum(piece.score for piece in group) / len(group),
        word=tokenizer.join([piece.word for piece in group]),
        start=first.start,
        end=last.end,
        index=first.index,
    )


def _without_overlaps(entities: Sequence[Entity]) -> list[Entity]:
    """Of entities that overlap, from neighbouring windows, keeps the longest, then the surest."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: e.start):
        if kept and kept[-1].start <= entity.start < kept[-1].end:
            if _rank(entity) > _rank(kept[-1]):
                kept[-1] = entity
        else:
            kept.append(entity)
    return kept


def _rank(entity: Entity) -> tuple[int, float]:
    return entity.end - entity.start, entity.score
