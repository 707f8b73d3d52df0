"""Extractive question answering: the answer is a span of the context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidInput
from edge_tx.tasks.common import (
    BaseTask,
    Floats,
    Options,
    Pair,
    as_pair,
    at_least,
    is_bool,
    refuse_too_long,
    softmax,
    window_rows,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer
from edge_tx.truncation import Encoding

__all__ = ["Answer", "Answers", "QuestionAnswering", "QuestionOptions"]

_TAKES = "a pair (question, context), or {'question', 'context'}"
_ROW_LENGTH = 384
_STRIDE = 128


@light.dataclass(frozen=True, slots=True)
class QuestionOptions(Options):
    """Options of question answering.

    Attributes:
        top_k: Answers to give, the best first. Fewer if the context has fewer.
        max_length: Most tokens of a window, the question included; by default the model's own,
            and at most 384.
        stride: Tokens of context that neighbouring windows share; by default 128, and at most
            half of a window.
        max_answer_len: Most tokens of an answer.
        max_question_len: Most tokens of the question, the rest is cut; all if None.
        handle_impossible_answer: Whether "no answer" (an empty text) may be an answer.
        align_to_words: Whether an answer is widened to whole words.
    """

    top_k: int = 1
    stride: int | None = None
    max_answer_len: int = 15
    max_question_len: int | None = None
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        at_least("top_k", self.top_k, 1, optional=False)
        at_least("stride", self.stride, 0)
        at_least("max_answer_len", self.max_answer_len, 1, optional=False)
        at_least("max_question_len", self.max_question_len, 1)
        is_bool("handle_impossible_answer", self.handle_impossible_answer)
        is_bool("align_to_words", self.align_to_words)


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of the context; an empty one at 0 means that there is no answer.

    Attributes:
        answer: Its text.
        score: Product of the probabilities of its start and its end, summed over the windows
            and places where the same text was found.
        start: First character.
        end: Character after the last.
    """

    answer: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to a question, the best first.

    Attributes:
        answers: One at least.
        truncated: Tokens of the question that the model did not see; a context is always read
            to its end.
    """

    answers: tuple[Answer, ...]
    truncated: int

    @property
    def best(self) -> Answer:
        """The likeliest."""
        return self.answers[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [{name: getattr(a, name) for name in Answer.__slots__} for a in self.answers]
        return {"answers": rows, "truncated": self.truncated}

    def answer(self) -> object:
        """The spans, the best first."""
        return tuple((a.start, a.end) for a in self.answers)


@dataclass(frozen=True, slots=True)
class _Window:
    """What a window proposes: first and last tokens with scores, and the score of "no answer"."""

    spans: list[tuple[int, int, float]]
    null: float


class QuestionAnswering(BaseTask[QuestionOptions]):
    """Questions to answers, as the ``QuestionAnsweringPipeline`` of transformers 4 gives them."""

    name = "question-answering"
    outputs = ("start_logits", "end_logits")
    options_type = QuestionOptions

    def parse(self, value: Any, options: QuestionOptions) -> Pair:
        """A question and a context, neither of them empty."""
        pair = as_pair(value, ("question", "context"), _TAKES)
        for name, text in zip(("question", "context"), pair, strict=True):
            if not text:
                raise InvalidInput(f"the {name} is empty; this task takes {_TAKES}")
        return pair

    def encode(
        self, tokenizer: Tokenizer, items: Sequence[Pair], options: QuestionOptions
    ) -> list[Row]:
        """One row per window of each context."""
        limit = options.max_length or min(tokenizer.policy.max_length, _ROW_LENGTH)
        stride = min(limit // 2, _STRIDE) if options.stride is None else options.stride
        cut = [_shortened(tokenizer, question, options) for question, _ in items]
        pairs = [
            (question, context) for (question, _), (_, context) in zip(cut, items, strict=True)
        ]
        rows = _encoded(tokenizer, pairs, limit, stride)
        cls = tokenizer.policy.special.get("cls")
        text = 0 if _context_first(tokenizer) else 1
        return [
            row._replace(places=_answerable(row, text, cls), truncated=cut[row.item][1])
            for row in rows
        ]

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: QuestionOptions
    ) -> list[_Window]:
        """The likeliest spans of each row."""
        starts, ends = outputs["start_logits"], outputs["end_logits"]
        return [
            _best_spans(row, row.own(start), row.own(end), options)
            for row, start, end in zip(rows, starts, ends, strict=True)
        ]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: Pair,
        rows: Sequence[Row],
        parts: Sequence[_Window],
        options: QuestionOptions,
    ) -> Answers:
        """The best spans of all windows; equal texts are one answer, with summed scores."""
        context = item[1]
        text = 0 if _context_first(tokenizer) else 1
        found: dict[str, Answer] = {}
        for start, end, score in _characters(rows, parts, text, options.align_to_words):
            key = context[start:end].lower()
            known = found.get(key)
            found[key] = (
                Answer(context[start:end], score, start, end)
                if known is None
                else replace(known, score=known.score + score)
            )
        answers = list(found.values())
        if options.handle_impossible_answer or not answers:
            null = min(part.null for part in parts) if options.handle_impossible_answer else 0.0
            answers.append(Answer("", null, 0, 0))
        answers.sort(key=lambda answer: answer.score, reverse=True)
        return Answers(tuple(answers[: options.top_k]), rows[0].truncated)


def _context_first(tokenizer: Tokenizer) -> bool:
    # Models that are padded on the left were trained with the question at the end.
    return tokenizer.policy.padding_side == "left"


def _shortened(tokenizer: Tokenizer, question: str, options: QuestionOptions) -> tuple[str, int]:
    """The question, cut to its most tokens, and how many were cut.

    A character of several tokens goes whole, so that fewer tokens may stay.
    """
    most = options.max_question_len
    if most is None:
        return question, 0
    offsets = tokenizer.pieces(question).offsets
    if len(offsets) <= most:
        return question, 0
    refuse_too_long(question, most, len(offsets) - most, options)
    end = max((stop for _, stop in offsets[:most] if stop <= offsets[most][0]), default=0)
    short = question[:end]
    return short, len(offsets) - len(tokenizer.pieces(short))


def _encoded(tokenizer: Tokenizer, pairs: Sequence[Pair], limit: int, stride: int) -> list[Row]:
    if not _context_first(tokenizer):
        return window_rows(tokenizer, pairs, limit, stride, truncation="only_second")
    turned = [(context, question) for question, context in pairs]
    return window_rows(tokenizer, turned, limit, stride, truncation="only_first")


def _answerable(row: Row, text: int, cls: int | None) -> tuple[int, ...]:
    """Where an answer may lie: in the context, or on the token that stands for "no answer"."""
    sides = row.encoding.sequence_ids
    return tuple(
        i
        for i, (side, token) in enumerate(zip(sides, row.ids, strict=True))
        if side == text or token == cls
    )


def _best_spans(row: Row, start: Array, end: Array, options: QuestionOptions) -> _Window:
    """Spans of up to ``max_answer_len`` tokens with the highest products of probabilities."""
    begin, finish = _probabilities(row, start), _probabilities(row, end)
    null = float(begin[0] * finish[0])
    begin[0] = finish[0] = 0.0
    # A band of the matrix of all products: a row per start, a column per length.
    width = min(options.max_answer_len, len(finish))
    padded = np.concatenate([finish, np.zeros(width - 1, finish.dtype)])
    band = begin[:, None] * np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = band.ravel()
    # Aligning to words makes some spans equal: take more than are asked for.
    most = min(options.top_k * 2 + 10 if options.align_to_words else options.top_k, flat.size)
    best = np.argpartition(-flat, most - 1)[:most]
    best = best[np.argsort(-flat[best], kind="stable")]
    firsts, lengths = np.divmod(best, width)
    columns = zip(firsts.tolist(), lengths.tolist(), flat[best].tolist(), strict=True)
    return _Window([(s, s + n, score) for s, n, score in columns if score > 0], null)


def _probabilities(row: Row, logits: Array) -> Floats:
    places = list(row.places)
    out = np.zeros(len(row.ids), np.float32)
    if places:
        out[places] = softmax(logits[places].astype(np.float32))
    return out


def _characters(
    rows: Sequence[Row], parts: Sequence[_Window], text: int, to_words: bool
) -> Iterator[tuple[int, int, float]]:
    for row, part in zip(rows, parts, strict=True):
        offsets = row.encoding.offsets
        for first, last, score in part.spans:
            words = _word_span(row.encoding, first, last, text) if to_words else None
            start, end = words or (offsets[first][0], offsets[last][1])
            yield start, end, score


def _word_span(encoding: Encoding, first: int, last: int, text: int) -> tuple[int, int] | None:
    """Characters from the first token's word to the last token's; None without words."""
    start, end = encoding.token_to_word(first), encoding.token_to_word(last)
    if start is None or end is None:
        return None
    head, tail = encoding.word_to_chars(start, text), encoding.word_to_chars(end, text)
    return None if head is None or tail is None else (head[0], tail[1])
