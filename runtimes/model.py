"""The thing users hold: a bundle's tokenizer, graph and task behind one call."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from edge_tx import tasks
from edge_tx.bundle import Bundle
from edge_tx.errors import (
    InvalidConfig,
    InvalidInput,
    TruncationWarning,
)
from edge_tx.runtimes.engine import Engine
from edge_tx.runtimes.scheduling import by_item
from edge_tx.runtimes.selection import Choice
from edge_tx.stamps import graph_stamp
from edge_tx.tasks import Result, Task
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

    from edge_tx.backends import Session
    from edge_tx.runtimes.conveyor import Conveyor
    from edge_tx.runtimes.description import Description
    from edge_tx.runtimes.phases import PhaseClock, TimedEngine


__all__ = ["Model"]

# Inputs that are tokenised and sorted together: enough that batches hold rows of one length,
# few enough that a long list's tokens are never all held.
_WINDOW = 4096


class Model:
    """A model that is open and ready. Made by :func:`edge_tx.load`; safe to share between threads.

    Calling it with one input gives one result, with a list gives a list, and with an iterator
    gives an iterator that reads ahead by a window only. What an input and a result are is the
    task's affair: see ``docs/tasks.md``.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        tokenizer: Tokenizer,
        task: Task,
        engine: Engine | TimedEngine,
    ) -> None:
        self.bundle = bundle
        self.task = bundle.manifest.task
        self.labels = bundle.manifest.settings.labels
        self.max_length = bundle.manifest.tokenizer.max_length
        self.stamp = graph_stamp(bundle.manifest, choice.graph)
        self._choice = choice
        self._tokenizer = tokenizer
        self._task = task
        self._engine = engine

    @overload
    def __call__(self, inputs: str | tuple[str, str], **options: Any) -> Any: ...
    @overload
    def __call__(self, inputs: Sequence[Any], **options: Any) -> list[Any]: ...
    @overload
    def __call__(self, inputs: Iterator[Any], **options: Any) -> Iterator[Any]: ...
    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Answers inputs.

        Args:
            inputs: A text, a pair as a tuple or a mapping; a list of these; or an iterator.
            **options: The task's options, e.g. ``top_k`` or ``aggregation``.

        Returns:
            A result, a list of results in the inputs' order, or an iterator of them.

        Raises:
            InvalidInput: An input is not what the task takes.
            UnknownName: The task has no such option.
            SessionFailed: The runtime failed, or the model is closed.
        """
        chosen = self._task.options(**options)
        if isinstance(inputs, (str, tuple, Mapping)):
            return self._answer_one(inputs, chosen)
        if isinstance(inputs, Iterator):
            return self._stream(inputs, chosen)
        if isinstance(inputs, Iterable) and not isinstance(inputs, (bytes, bytearray)):
            return list(self._stream(iter(inputs), chosen))
        row = tasks.find(self.task)
        raise InvalidInput(f"'{self.task}' takes {row.takes}, not {type(inputs).__name__}")

    def map(self, inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Answers a stream of any length, in its order, reading ahead by a few windows only.

        While batches run, the next inputs are read and tokenised; inputs that are the same are
        answered once in a window. For files, and for jobs that must survive a kill, see
        :func:`edge_tx.batch`.

        Args:
            inputs: Texts, pairs or mappings.
            **options: The task's options.

        Yields:
            A result for each input.

        Raises:
            InvalidInput: An input is not what the task takes; says which.
            UnknownName: The task has no such option.
            SessionFailed: The runtime failed, or the model is closed.
        """
        conveyor = self.conveyor(**options)
        if isinstance(inputs, (str, bytes, Mapping)):
            raise InvalidInput(f"map() takes a stream of inputs, not one {type(inputs).__name__}")
        return self._mapped(conveyor, iter(inputs))

    def conveyor(self, **options: Any) -> Conveyor:
        """What batch jobs put windows of inputs on; see :mod:`edge_tx.runtimes.conveyor`."""
        from edge_tx.runtimes.conveyor import Conveyor

        chosen = self._task.options(**options)
        return Conveyor(self._task, self._tokenizer, self._engine, chosen)

    def embed(self, texts: str | Iterable[str], **options: Any) -> npt.NDArray[np.float32]:
        """Embeds texts.

        Args:
            texts: One text, or any number.
            **options: The task's options.

        Returns:
            ``float32[dim]`` for one text, ``float32[count, dim]`` for several.

        Raises:
            InvalidConfig: The model's task is not sentence embedding.
        """
        self._must_be("sentence-embedding", "embed")
        if isinstance(texts, str):
            one: npt.NDArray[np.float32] = self(texts, **options).vector
            return one
        vectors = [result.vector for result in self(list(texts), **options)]
        return np.stack(vectors) if vectors else np.empty((0, self.dimensions), np.float32)

    def rank(self, query: str, documents: Sequence[str], **options: Any) -> list[Any]:
        """Ranks documents by how well they answer a query.

        Args:
            query: The query.
            documents: The candidates.
            **options: The task's options.

        Returns:
            One :class:`edge_tx.tasks.ranking.Ranked` per document, the best first.

        Raises:
            InvalidConfig: The model's task is not reranking.
        """
        self._must_be("text-ranking", "rank")
        from edge_tx.tasks.ranking import ranked

        return ranked(self([(query, document) for document in documents], **options))

    def describe(self) -> Description:
        """Says what was chosen, why, and where it runs."""
        from edge_tx.runtimes.description import Description

        manifest = self.bundle.manifest
        return Description(
            task=self.task,
            source=manifest.source.name,
            graph=self._choice.graph.name,
            precision=self._choice.graph.precision,
            reason=self._choice.reason,
            candidates=self._choice.candidates,
            warning=self._choice.warning,
            placement=self._engine.placement(),
            max_length=self.max_length,
            stamp=self.stamp,
        )

    @property
    def session(self) -> Session:
        """The open graph that answers single inputs, for measuring it as it is."""
        return self._engine.session

    def timed(self, clock: PhaseClock) -> Model:
        """The same model, on the same sessions, whose calls tell a clock where their time goes."""
        from edge_tx.runtimes.phases import TimedEngine, TimedTask

        task, engine = TimedTask(self._task, clock), TimedEngine(self._engine, clock)
        return Model(self.bundle, self._choice, self._tokenizer, task, engine)

    def close(self) -> None:
        """Frees the graph, after the calls under way. Closing twice is allowed."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def dimensions(self) -> int:
        """Numbers of the graph's first output for each row or token; 0 if that is not fixed."""
        size = self._choice.graph.outputs[0].shape[-1]
        return size if isinstance(size, int) else 0

    def _must_be(self, task: str, method: str) -> None:
        if self.task != task:
            raise InvalidConfig(f"{method}() is for '{task}' models; this one is '{self.task}'")

    def _stream(self, inputs: Iterator[Any], options: Any) -> Iterator[Any]:
        done = 0
        while True:
            window: list[Any] = []
            try:
                for value in islice(inputs, _WINDOW):
                    window.append(value)  # noqa: PERF402 - what came before an error is kept
            except Exception:  # of the iterator's own: what it gave before is answered first
                yield from self._answer(window, options, done)
                raise
            if not window:
                return
            yield from self._answer(window, options, done)
            done += len(window)

    def _mapped(self, conveyor: Conveyor, inputs: Iterator[Any]) -> Iterator[Any]:
        from edge_tx.runtimes.conveyor import in_order

        options = conveyor.options
        items = (self._parse(value, index, options) for index, value in enumerate(inputs))
        done = 0
        for results in in_order(conveyor, items):
            for index, result in enumerate(results, done):
                if isinstance(result, InvalidInput):
                    raise InvalidInput(f"input {index}: {result}") from result
            self._tell_truncated(results, options)
            yield from results
            done += len(results)

    def _answer_one(self, value: Any, options: Any) -> Result:
        task, tokenizer = self._task, self._tokenizer
        item = task.parse(value, options)
        rows = task.encode(tokenizer, (item,), options)
        parts = self._engine.run(
            rows, tokenizer.policy, lambda outs, batch: task.reduce(outs, batch, options)
        )
        result = task.decode(tokenizer, item, rows, parts, options)
        if result.truncated:
            self._tell_truncated([result], options)
        return result

    def _answer(self, inputs: Sequence[Any], options: Any, first: int = 0) -> list[Result]:
        task, tokenizer = self._task, self._tokenizer
        items = [self._parse(value, first + i, options) for i, value in enumerate(inputs)]
        rows = task.encode(tokenizer, items, options)
        parts = self._engine.run(
            rows, tokenizer.policy, lambda outs, batch: task.reduce(outs, batch, options)
        )
        results = [
            task.decode(tokenizer, item, mine, answers, options)
            for item, (mine, answers) in zip(items, by_item(rows, parts, len(items)), strict=True)
        ]
        self._tell_truncated(results, options)
        return results

    def _parse(self, value: Any, index: int, options: Any) -> Any:
        try:
            return self._task.parse(value, options)
        except InvalidInput as exc:
            raise InvalidInput(f"input {index}: {exc}") from exc

    def _tell_truncated(self, results: Sequence[Any], options: Any) -> None:
        cut = [r.truncated for r in results if r.truncated]
        if cut:
            limit = options.max_length or self.max_length
            warnings.warn(
                f"{len(cut)} of {len(results)} inputs were longer than {limit} tokens and were "
                f"cut (by up to {max(cut)} tokens); result.truncated says which",
                TruncationWarning,
                stacklevel=_callers_level(),
            )


def _callers_level() -> int:
    """How far up the caller is who is not of edge_tx, seen from who asks."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("edge_tx."):
        frame, level = frame.f_back, level + 1
    return level
