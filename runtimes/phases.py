"""A model whose calls tell how long each phase took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edge_tx.runtimes.engine import Reduce
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer, TokenizerPolicy

if TYPE_CHECKING:
    from edge_tx.backends import Placement, Session
    from edge_tx.runtimes.engine import Engine, Pending
    from edge_tx.tasks import Result, Task

__all__ = ["PhaseClock", "TimedEngine", "TimedTask"]


@dataclass(slots=True)
class PhaseClock:
    """Nanoseconds of each phase since it was last read.

    Attributes:
        tokenization: Parsing and tokenising.
        inference: Padding and the graph, over all streams together.
        decoding: From the graph's arrays to results.
    """

    tokenization: int = 0
    inference: int = 0
    decoding: int = 0

    def take(self) -> tuple[int, int, int]:
        """The three, in that order; then they begin at nought."""
        taken = (self.tokenization, self.inference, self.decoding)
        self.tokenization = self.inference = self.decoding = 0
        return taken


class TimedTask:
    """A task (:class:`edge_tx.tasks.Task`) that tells a clock what its work took."""

    def __init__(self, task: Task, clock: PhaseClock) -> None:
        self._task = task
        self._clock = clock

    @property
    def outputs(self) -> tuple[str, ...]:
        """As the task's."""
        return self._task.outputs

    def options(self, **overrides: Any) -> Any:
        """As the task's."""
        return self._task.options(**overrides)

    def parse(self, value: Any, options: Any) -> Any:
        """Counts as tokenization."""
        start = perf_counter_ns()
        item = self._task.parse(value, options)
        self._clock.tokenization += perf_counter_ns() - start
        return item

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any], options: Any) -> list[Row]:
        """Counts as tokenization."""
        start = perf_counter_ns()
        rows = self._task.encode(tokenizer, items, options)
        self._clock.tokenization += perf_counter_ns() - start
        return rows

    def reduce(self, outputs: Mapping[str, Array], rows: Sequence[Row], options: Any) -> list[Any]:
        """Counts as decoding, and not as inference, within which it is called."""
        start = perf_counter_ns()
        parts = self._task.reduce(outputs, rows, options)
        spent = perf_counter_ns() - start
        self._clock.decoding += spent
        self._clock.inference -= spent
        return parts

    def decode(
        self,
        tokenizer: Tokenizer,
        item: Any,
        rows: Sequence[Row],
        parts: Sequence[Any],
        options: Any,
    ) -> Result:
        """Counts as decoding."""
        start = perf_counter_ns()
        result = self._task.decode(tokenizer, item, rows, parts, options)
        self._clock.decoding += perf_counter_ns() - start
        return result


class TimedEngine:
    """An engine that tells a clock what its work took. For one caller at a time."""

    def __init__(self, engine: Engine | TimedEngine, clock: PhaseClock) -> None:
        self._engine = engine
        self._clock = clock

    def run(self, rows: Sequence[Row], policy: TokenizerPolicy, reduce: Reduce) -> list[Any]:
        """Counts as inference."""
        start = perf_counter_ns()
        parts = self._engine.run(rows, policy, reduce)
        self._clock.inference += perf_counter_ns() - start
        return parts

    def submit(
        self, rows: Sequence[Row], policy: TokenizerPolicy, reduce: Reduce, budget: int
    ) -> Pending:
        """As the engine's, and not counted: it comes back before anything is done."""
        return self._engine.submit(rows, policy, reduce, budget)

    @property
    def session(self) -> Session:
        """As the engine's."""
        return self._engine.session

    def placement(self) -> Placement:
        """As the engine's."""
        return self._engine.placement()

    def close(self) -> None:
        """As the engine's."""
        self._engine.close()
