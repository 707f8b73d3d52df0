"""Rows to distil on: tokenised once, with their labels where those are wanted.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from edge_tx import tasks
from edge_tx.answering import Prepared
from edge_tx.calibration.distillation_losses import IGNORED
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.examples import Example, reach
from edge_tx.exporters.traced import Traced
from edge_tx.manifest import TaskSettings
from edge_tx.metric_table import find_metric
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

__all__ = ["Corpus", "labels_of", "tokenised"]

_CHUNK = 1024
_END = 1 << 62


@dataclass(frozen=True, slots=True)
class _Encoding:
    """What a batch needs of a tokenizer's record: a hundredth of its memory."""

    type_ids: list[int]


@dataclass(frozen=True)
class Corpus:
    """Rows to train on.

    Attributes:
        rows: Tokenised, unpadded.
        labels: Of each row; empty if they are not wanted.
        sha256: Of all of it.
    """

    rows: tuple[Row, ...]
    labels: tuple[Array, ...]
    sha256: str

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(row.ids) for row in self.rows]


def tokenised(
    examples: Sequence[Example],
    traced: Traced,
    options: Mapping[str, Any],
    *,
    labelled: bool,
) -> Corpus:
    """Tokenises examples.

    Args:
        examples: Rows of a data set.
        traced: The model whose tokenizer and task count.
        options: Call options of the task.
        labelled: Whether labels are wanted.

    Raises:
        InvalidConfig: The task's labels cannot be learned from.
        InvalidInput: An example or its label cannot be used.
    """
    target = _target_of(traced.task) if labelled else None
    rows: list[Row] = []
    labels: list[Array] = []
    digest = hashlib.sha256()
    for example, row in _encoded(examples, traced, options):
        if target is not None:
            labels.append(_checked(target, example, row, traced.settings))
            digest.update(labels[-1].tobytes())
        kept: Any = _Encoding(list(row.encoding.type_ids))
        rows.append(Row(len(rows), list(row.ids), kept))
        digest.update(np.array([row.ids, kept.type_ids], np.int32).tobytes())
    return Corpus(tuple(rows), tuple(labels), digest.hexdigest())


def labels_of(corpus: Corpus, places: Sequence[int]) -> torch.Tensor | None:
    """Labels of a batch; those of tokens are padded."""
    if not corpus.labels:
        return None
    chosen = [torch.from_numpy(corpus.labels[place]) for place in places]
    if chosen[0].dtype == torch.int64 and chosen[0].ndim == 1:
        return torch.nn.utils.rnn.pad_sequence(chosen, True, IGNORED)
    return torch.stack(chosen)


def _encoded(
    examples: Sequence[Example], traced: Traced, options: Mapping[str, Any]
) -> Iterator[tuple[Example, Row]]:
    task = tasks.create(traced.task, traced.settings)
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    stream = iter(examples)
    while chunk := list(islice(stream, _CHUNK)):
        owners = [example for example in chunk for _ in example.inputs]
        inputs = [value for example in chunk for value in example.inputs]
        places = [example.place for example in owners]
        for row in Prepared(task, tokenizer, inputs, options, places).rows:
            yield owners[row.item], row


_Target = Callable[[Example, Row, TaskSettings], Array]


def _target_of(task: str) -> _Target:
    if task not in _TARGETS:
        raise InvalidConfig(
            f"labels of '{task}' cannot be learned from, those of {', '.join(_TARGETS)} can: "
            "leave the loss labels out, the teacher's answers do without"
        )
    return _TARGETS[task]


def _checked(target: _Target, example: Example, row: Row, settings: TaskSettings) -> Array:
    if example.label is None:
        raise InvalidInput(f"{example.place} has no label: the loss labels needs one")
    try:
        return target(example, row, settings)
    except (ValueError, TypeError, LookupError) as exc:
        raise InvalidInput(f"{example.place}: the label cannot be used: {exc}") from exc


def _class_target(example: Example, _row: Row, settings: TaskSettings) -> Array:
    if settings.problem_type == "regression":
        return np.array([float(example.label)], np.float32)
    names = find_metric("accuracy", "text-classification").expect(example, settings)
    chosen = [settings.labels.index(name) for name in names]
    if settings.problem_type == "multi_label_classification":
        return np.isin(np.arange(len(settings.labels)), chosen).astype(np.float32)
    if len(chosen) != 1:
        raise ValueError(f"one label is wanted, not {len(chosen)}")
    return np.array(chosen[0], np.int64)


def _token_target(example: Example, row: Row, settings: TaskSettings) -> Array:
    """The tag of each word at its first piece, the first that overlaps it."""
    tags = find_metric("f1", "token-classification").expect(example, settings)
    words = iter(zip(example.words, tags, strict=True))
    (begin, end), tag = next(words)
    out = np.full(len(row.ids), IGNORED, np.int64)
    special, text = row.encoding.special_tokens_mask, example.inputs[0]
    for place, (left, right) in enumerate(row.encoding.offsets):
        start, stop = reach(text[left:right], left)
        if special[place] or stop <= begin:
            continue
        if start < end:
            out[place] = settings.labels.index(tag)
        while begin < stop:  # on to the first word that begins after this piece
            (begin, end), tag = next(words, ((_END, _END), ""))
    return out


_TARGETS: Mapping[str, _Target] = {
    "text-classification": _class_target,
    "token-classification": _token_target,
}
