"""Answers of graph after graph to the same inputs.

Inputs are tokenised once and answered by the reference, by a quantised graph, by that one with a
layer returned to float. They run in batches of one length or nearly so, in a fixed order, as what
a dynamically quantised graph gives for a row depends on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx.errors import InvalidInput
from edge_tx.tensors import Array, TensorSpec
from edge_tx.text import Row, Tokenizer, collate

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.tasks import Result, Task

__all__ = ["Prepared"]

_BATCH = 16
_TOKENS = 2048


class Prepared:
    """Inputs, tokenised once, to be answered by graph after graph.

    Args:
        task: Of the graphs.
        tokenizer: Of the graphs.
        inputs: What users of the task give.
        options: Call options other than the defaults.
        places: Where each input stands, for messages.

    Raises:
        InvalidInput: An input is not what the task takes.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: Tokenizer,
        inputs: Sequence[Any],
        options: Mapping[str, Any],
        places: Sequence[str] = (),
    ) -> None:
        self._task = task
        self._tokenizer = tokenizer
        self._options = task.options(**options)
        self._items = [
            self._parse(value, places[index] if places else f"input {index + 1}")
            for index, value in enumerate(inputs)
        ]
        self.rows = task.encode(tokenizer, self._items, self._options)
        self._batches = list(_batches(self.rows))

    def feeds(self, batch: int = 1) -> Iterator[Mapping[str, Array]]:
        """The rows as a graph is fed them, in the inputs' order.

        Args:
            batch: Rows of one feed.
        """
        for start in range(0, len(self.rows), batch):
            yield collate(self.rows[start : start + batch], self._tokenizer.policy)

    def answers(self, session: Session) -> Iterator[tuple[Result, Array]]:
        """Each input's result, and the graph's numbers for it, in the inputs' order.

        Raises:
            SessionFailed: The vendor's runtime failed.
        """
        parts: list[Any] = [None] * len(self.rows)
        numbers: list[Array] = [_NOTHING] * len(self.rows)
        specs = [spec for spec in session.outputs if spec.name in self._task.outputs]
        for places in self._batches:
            rows = [self.rows[place] for place in places]
            outs = session.run(collate(rows, self._tokenizer.policy))
            reduced = self._task.reduce(outs, rows, self._options)
            for i, (place, row) in enumerate(zip(places, rows, strict=True)):
                parts[place] = reduced[i]
                numbers[place] = _own_numbers(row, i, specs, outs)
        for item, (start, stop) in zip(self._items, self._spans(), strict=True):
            rows, mine = self.rows[start:stop], parts[start:stop]
            result = self._task.decode(self._tokenizer, item, rows, mine, self._options)
            yield result, np.concatenate(numbers[start:stop])

    def _parse(self, value: Any, place: str) -> Any:
        try:
            return self._task.parse(value, self._options)
        except InvalidInput as exc:
            raise InvalidInput(f"{place}: {exc}") from exc

    def _spans(self) -> Iterator[tuple[int, int]]:
        start = 0
        for item in range(len(self._items)):
            stop = start
            while stop < len(self.rows) and self.rows[stop].item == item:
                stop += 1
            yield start, stop
            start = stop


_NOTHING = np.empty(0, np.float32)


def _batches(rows: Sequence[Row]) -> Iterator[list[int]]:
    """Indices of rows that run together: of neighbouring lengths, within a number of tokens."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), i))
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == _BATCH or len(rows[index].ids) * (len(batch) + 1) > _TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _own_numbers(
    row: Row, index: int, specs: Sequence[TensorSpec], outs: Mapping[str, Array]
) -> Array:
    """A row's numbers, without those of padding; of a wide output the places asked for alone."""
    cut = []
    for spec in specs:
        line = outs[spec.name][index]
        if spec.shape[1:2] == ("seq",):
            line = row.own(line)
            if row.places and len(spec.shape) > 2:
                line = line[list(row.places)]
        cut.append(np.ravel(line).astype(np.float32))
    return np.concatenate(cut)
