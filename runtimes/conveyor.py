"""Keeps a model's streams busy: windows of inputs go in, results come out in their order.

Rows of a window are batched by length within a token budget, whatever their order; the same input
is answered once in a window. While batches run, the caller prepares the next windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edge_tx.errors import InvalidInput
from edge_tx.runtimes.scheduling import TOKEN_BUDGET, by_item

if TYPE_CHECKING:
    from edge_tx.runtimes.engine import Engine, Pending
    from edge_tx.runtimes.phases import TimedEngine
    from edge_tx.tasks import Result, Task
    from edge_tx.text import Row, Tokenizer

__all__ = ["WINDOW", "Conveyor", "Flight", "Room", "characters", "in_order", "windows"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """How much is on the way at a time.

    Attributes:
        rows: Most inputs of a window: enough that batches hold rows of one length, and that
            streams seldom wait for each other at a window's end.
        characters: Most characters of a window, unless one input alone has more: a tokenizer's
            record of a text takes some 30 bytes for each of its characters.
        budget: Most padded tokens of a batch.
        windows: Windows that are prepared or run while the oldest is awaited.
    """

    rows: int = 2048
    characters: int = 262_144
    budget: int = TOKEN_BUDGET
    windows: int = 2


WINDOW = Room()


class Flight:
    """A window on its way; made by :meth:`Conveyor.put`.

    Attributes:
        tokens: That are read for it, special ones included.
        repeated: Inputs whose answer another input of the window has.
    """

    def __init__(self, conveyor: Conveyor, inputs: Sequence[Any], budget: int) -> None:
        places: dict[Any, int] = {}
        self._places = [places.setdefault(item, len(places)) for item in inputs]
        self._items = list(places)
        self._conveyor = conveyor
        rows, self._refused = conveyor.encode(self._items)
        self._rows = rows
        self.tokens = sum(len(row.ids) for row in rows)
        self.repeated = len(inputs) - len(places)
        self._pending: Pending = conveyor.start(rows, budget)

    def results(self) -> list[Result | InvalidInput]:
        """Waits; a result for each input, or why there is none.

        Raises:
            SessionFailed: The graph failed.
        """
        parts = self._pending.result()
        decode = self._conveyor.decode
        answers: list[Result | InvalidInput] = [
            self._refused.get(index) or decode(item, rows, mine)
            for index, (item, (rows, mine)) in enumerate(
                zip(self._items, by_item(self._rows, parts, len(self._items)), strict=True)
            )
        ]
        return [answers[place] for place in self._places]

    def cancel(self) -> None:
        """Leaves out what has not started."""
        self._pending.cancel()


class Conveyor:
    """Takes windows of a task's items.

    Args:
        task: The model's task.
        tokenizer: Its tokenizer.
        engine: Its engine.
        options: The task's options.
    """

    def __init__(
        self, task: Task, tokenizer: Tokenizer, engine: Engine | TimedEngine, options: Any
    ) -> None:
        self.options = options
        self._task = task
        self._tokenizer = tokenizer
        self._engine = engine

    def parse(self, value: Any) -> Any:
        """The item of an input.

        Raises:
            InvalidInput: It is not what the task takes.
        """
        return self._task.parse(value, self.options)

    def put(self, items: Sequence[Any], budget: int = TOKEN_BUDGET) -> Flight:
        """Tokenises a window and starts it.

        Args:
            items: What :meth:`parse` gave.
            budget: Most padded tokens of a batch.
        """
        return Flight(self, items, budget)

    def encode(self, items: Sequence[Any]) -> tuple[list[Row], dict[int, InvalidInput]]:
        """Rows of all items but those that cannot be read, and why these cannot."""
        if not items:
            return [], {}
        try:
            return self._task.encode(self._tokenizer, items, self.options), {}
        except InvalidInput:
            return self._encode_each(items)

    def start(self, rows: Sequence[Row], budget: int) -> Pending:
        """Starts rows."""
        task, options = self._task, self.options
        return self._engine.submit(
            rows,
            self._tokenizer.policy,
            lambda outputs, batch: task.reduce(outputs, batch, options),
            budget,
        )

    def decode(self, item: Any, rows: Sequence[Row], parts: Sequence[Any]) -> Result:
        """The result of an item."""
        return self._task.decode(self._tokenizer, item, rows, parts, self.options)

    def _encode_each(self, items: Sequence[Any]) -> tuple[list[Row], dict[int, InvalidInput]]:
        rows: list[Row] = []
        refused: dict[int, InvalidInput] = {}
        for index, item in enumerate(items):
            own = self._encode_one(item)
            if isinstance(own, InvalidInput):
                refused[index] = own
            else:
                rows += [row._replace(item=index) for row in own]
        return rows, refused

    def _encode_one(self, item: Any) -> list[Row] | InvalidInput:
        try:
            return self._task.encode(self._tokenizer, [item], self.options)
        except InvalidInput as exc:
            return exc


def windows(
    items: Iterable[T], length: Callable[[T], int], room: Callable[[], Room] = lambda: WINDOW
) -> Iterator[list[T]]:
    """Cuts inputs into windows.

    Args:
        items: Any number of them.
        length: Gives the characters of one.
        room: Asked how large the next window may be.
    """
    window: list[T] = []
    total, most = 0, room()
    for item in items:
        own = length(item)
        if window and (len(window) >= most.rows or total + own > most.characters):
            yield window
            window, total, most = [], 0, room()
        window.append(item)
        total += own
    if window:
        yield window


def in_order(conveyor: Conveyor, items: Iterator[Any]) -> Iterator[list[Result | InvalidInput]]:
    """Results of a stream of items, a window at a time; reads ahead by some windows only.

    Args:
        conveyor: The model.
        items: What :meth:`Conveyor.parse` gave or raised; the latter comes out in its place.
    """
    flights: deque[tuple[list[Any], Flight]] = deque()

    def landed() -> list[Result | InvalidInput]:
        window, flight = flights.popleft()
        results = iter(flight.results())
        return [item if isinstance(item, InvalidInput) else next(results) for item in window]

    try:
        for window in windows(items, characters):
            good = [item for item in window if not isinstance(item, InvalidInput)]
            flights.append((window, conveyor.put(good)))
            if len(flights) > WINDOW.windows:
                yield landed()
        while flights:
            yield landed()
    finally:
        for _, flight in flights:
            flight.cancel()


def characters(item: Any) -> int:
    """Characters of an item: a text, or texts; none of one that was refused."""
    if isinstance(item, InvalidInput):
        return 0
    return len(item) if isinstance(item, str) else sum(map(len, item))
