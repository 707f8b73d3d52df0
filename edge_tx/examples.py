"""Rows of a data set as a task's inputs, with their labels where they have some."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx.errors import InvalidInput
from edge_tx.records import Record, records

__all__ = ["Example", "Layout", "layouts", "reach", "read_examples"]

_TEXT = ("text", "sentence")
_LABEL = ("label", "labels", "label_text")


@dataclass(frozen=True, slots=True)
class Example:
    """A row, ready for a task.

    Attributes:
        inputs: What the task is given: one input, or two whose results are compared.
        label: As the row has it; None if it has none.
        place: Where the row stands, for messages.
        words: Where each word of a text that was given in words begins, and its end.
    """

    inputs: tuple[Any, ...]
    label: Any
    place: str
    words: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns that a row may have.

    Attributes:
        columns: Of the inputs, each with the other names it is known by.
        label: Names of the label's column.
        make: Makes inputs and word spans of the columns' values.
        null: What a label's cell stands for that is there and empty.
    """

    columns: tuple[tuple[str, ...], ...]
    label: tuple[str, ...]
    make: Callable[[Sequence[Any], str], tuple[tuple[Any, ...], tuple[tuple[int, int], ...]]]
    null: Any = None

    def __str__(self) -> str:
        return " and ".join("/".join(names) for names in self.columns)

    @property
    def is_one_input(self) -> bool:
        """Whether a row is one input, and not two whose results are compared."""
        return self.make is not _as_two

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has all the columns of the inputs."""
        return all(any(name in row for name in names) for names in self.columns)


def layouts(task: str) -> tuple[Layout, ...]:
    """How rows for a task may look, the first that fits counts."""
    return _LAYOUTS.get(task, (_ONE,))


def read_examples(
    source: str | os.PathLike[str] | Iterable[Any], task: str, *, labelled: bool = False
) -> Iterator[Example]:
    """The rows of a file or an iterable, as a task's inputs.

    Args:
        source: A file (see :func:`edge_tx.records.read`), or texts, pairs and mappings.
        task: Name of the task.
        labelled: Whether every row must have a label.

    Raises:
        InvalidInput: A row is not what the task takes, or has no label; says which and what
            the columns should be.
    """
    for record in records(source):
        example = _example(record, task)
        if labelled and example.label is None:
            names = "/".join(layouts(task)[0].label)
            raise InvalidInput(f"{record.place} has no label: give it a column {names}")
        yield example


def reach(piece: str, start: int) -> tuple[int, int]:
    """Which characters tell the word that a piece of a text belongs to.

    Some tokenizers count the blank before a word to its first piece, or make a piece of its own
    of it, which is the word's first then.

    Args:
        piece: Its characters.
        start: Where they stand.

    Returns:
        The first of them that is no blank, and the end; of blanks alone, what is behind them.
    """
    first = start + len(piece) - len(piece.lstrip())
    return first, max(start + len(piece), first + 1)


def _example(record: Record, task: str) -> Example:
    value = {"text": record.value} if isinstance(record.value, str) else record.value
    choices = layouts(task)
    if isinstance(value, (list, tuple)):
        value = _named(value, choices)
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f"{record.place} is {_kind(record.value)}, not a text, a pair or values by column"
        )
    for layout in choices:
        if layout.fits(value):
            cells = [_first(value, names) for names in layout.columns]
            inputs, words = layout.make(cells, record.place)
            label = _first(value, layout.label)
            if label is None and any(name in value for name in layout.label):
                label = layout.null
            return Example(inputs, label, record.place, words)
    wanted = ", or ".join(map(str, choices))
    shown = "is a text" if isinstance(record.value, str) else f"has {', '.join(value) or 'nothing'}"
    raise InvalidInput(f"{record.place} {shown}; '{task}' needs the columns {wanted}")


def _named(values: Sequence[Any], choices: Sequence[Layout]) -> Any:
    """A list by the columns of the layout of its length."""
    for layout in choices:
        if len(layout.columns) == len(values):
            return {names[0]: value for names, value in zip(layout.columns, values, strict=True)}
    return values


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{place}: expected a text, got {_kind(value)}")
    return value


def _as_one(cells: Sequence[Any], place: str) -> Any:
    return (_text(cells[0], place),), ()


def _as_pair(cells: Sequence[Any], place: str) -> Any:
    return ((_text(cells[0], place), _text(cells[1], place)),), ()


def _as_two(cells: Sequence[Any], place: str) -> Any:
    return (_text(cells[0], place), _text(cells[1], place)), ()


def _as_words(cells: Sequence[Any], place: str) -> Any:
    words = cells[0]
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        raise InvalidInput(f"{place}: expected a list of words, got {_kind(words)}")
    spans, start = [], 0
    for word in words:
        spans.append((start, start + len(_text(word, place))))
        start = spans[-1][1] + 1
    return (" ".join(words),), tuple(spans)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


_ONE = Layout((_TEXT,), _LABEL, _as_one)
_FIRST = ("text_a", "sentence1", "text1", "premise", "text")
_SECOND = ("text_b", "sentence2", "text2", "hypothesis", "text_pair")

_LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "sentence-embedding": (
        Layout((_FIRST, _SECOND), ("score", "similarity_score", *_LABEL), _as_two),
        _ONE,
    ),
    "text-classification": (
        Layout((_FIRST, _SECOND), (*_LABEL, "score"), _as_pair),
        Layout((_TEXT,), (*_LABEL, "score"), _as_one),
    ),
    "text-ranking": (
        Layout((("query",), ("document", "passage", "text")), ("score", *_LABEL), _as_pair),
    ),
    "token-classification": (
        Layout((("tokens", "words"),), ("tags", "ner_tags", "labels"), _as_words),
        _ONE,
    ),
    "question-answering": (
        Layout((("question",), ("context",)), ("answers", "answer"), _as_pair, null=()),
    ),
}
