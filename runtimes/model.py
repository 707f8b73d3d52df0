"""The thing users hold: a bundle's tokenizer, graph and task behind one call."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from edge_tx import backends, tasks, vendors
from edge_tx.backends import Placement, Session, SessionConfig
from edge_tx.bundle import Bundle
from edge_tx.errors import (
    EdgeTxError,
    InvalidConfig,
    InvalidInput,
    SessionFailed,
    TruncationWarning,
)
from edge_tx.runtimes.engine import Engine
from edge_tx.runtimes.selection import Candidate, Choice, choose
from edge_tx.stamps import graph_stamp
from edge_tx.tasks import Result, Task
from edge_tx.text import Row, Tokenizer

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge_tx.manifest import Graph

__all__ = ["Description", "Model", "load"]

# Inputs that are tokenised and sorted together: enough that batches hold rows of one length,
# few enough that a long list's tokens are never all held.
_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is and where it runs.

    Attributes:
        task: Name of the task.
        source: Name of the checkpoint.
        graph: Name of the graph that was chosen.
        precision: Of the graph.
        reason: Why that graph.
        candidates: The graphs that came into question, with what spoke against each.
        warning: Why a measurement that is there was not used; empty if all is well.
        placement: Where it runs, as the vendor's runtime says.
        max_length: Most tokens of an input.
        stamp: Embeddings of different stamps must not be compared; see :mod:`edge_tx.stamps`.
    """

    task: str
    source: str
    graph: str
    precision: str
    reason: str
    candidates: tuple[Candidate, ...]
    warning: str
    placement: Placement
    max_length: int
    stamp: str


def load(
    path: str | Path,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    *,
    graph: str | None = None,
    streams: int | None = None,
    min_accuracy: float | None = None,
    options: Mapping[str, str] | None = None,
) -> Model:
    """Opens a bundle and a graph in it.

    Args:
        path: A bundle: a folder or an ``.etx`` file.
        backend: Name of a backend; ``"auto"`` takes the graph that ``edge-tx tune`` measured to be
            the best on this device, or the first in the documented order, see ``docs/tuning.md``.
        device: A device of the backend, or ``"auto"`` for its first. It is that or an error.
        threads: CPU threads; by default the physical cores that this process may use.
        graph: Name of one of the bundle's graphs, where a backend has several.
        streams: Batches of a long list that run side by side, on ``threads // streams`` threads
            each; 1 for none; by default chosen by how long the list is.
        min_accuracy: Least accuracy of the graph relative to fp32, from 0 to 1, as defined in
            :mod:`edge_tx.accuracy`; by default what :func:`edge_tx.tune` was told, or no limit.
        options: The vendor's own settings by name, e.g. ``{"CACHE_DIR": "..."}`` for OpenVINO;
            they go with a backend or a graph that is named.

    Returns:
        A model. Close it, or use it in a ``with`` block.

    Raises:
        BundleError: The bundle is damaged, unsafe or too new.
        UnknownName: No such backend, graph or device.
        MissingDependency: The backend's package is not installed.
        AccuracyGateFailed: The accuracy of every graph is below ``min_accuracy``.
        DeviceUnavailable: The device is not here.
        SessionFailed: The runtime refuses the graph.
        InvalidConfig: Options without a backend or a graph, or one that makes no sense.
    """
    if threads is not None and threads < 1:
        raise InvalidConfig(f"threads must be 1 or more, not {threads}")
    settings = vendors.options_of(options, backend != "auto" or graph is not None)
    bundle = Bundle.open(path)
    choice = choose(bundle, backend, graph, device, min_accuracy)
    row = backends.find(choice.graph.backend)
    # Hashing and the vendor's reading of a graph leave the interpreter free for most of their
    # time, so both go on beside the rest: 0.15 s for 90 MB that nobody waits for. Never three
    # things at once, though: on two cores that would hold up the graph, the longest of them.
    bundle.prefetch(choice.graph.files)

    def open_session(threads: int, streams: int) -> Session:
        config = SessionConfig(device, threads, streams, settings)
        return backends.open_session(row.name, bundle.root / choice.graph.entry, config)

    with contextlib.suppress(ImportError, OSError):  # opening says what is wrong, see below
        # Here, as two threads that import only hold each other up.
        vendors.import_vendor(row)
    total = threads or _usable_threads()
    opening = _Beside(lambda: Engine(open_session, total, streams))
    try:
        bundle.entry(choice.graph)  # joins the hashing: nothing is answered before it is done
        tokenizer = bundle.tokenizer()
        task = _task(bundle, choice.graph)
    except EdgeTxError:
        opening.discard()
        raise
    engine = opening.result()
    return Model(bundle, choice, tokenizer, task, engine)


class Model:
    """A model that is open and ready. Made by :func:`load`; safe to share between threads.

    Calling it with one input gives one result, with a list gives a list, and with an iterator
    gives an iterator that reads ahead by a window only. What an input and a result are is the
    task's affair: see ``docs/tasks.md``.
    """

    def __init__(
        self, bundle: Bundle, choice: Choice, tokenizer: Tokenizer, task: Task, engine: Engine
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
        return np.stack(vectors) if vectors else np.empty((0, self._dimensions), np.float32)

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
    def _dimensions(self) -> int:
        size = self._choice.graph.outputs[0].shape[-1]
        return size if isinstance(size, int) else 0

    def _must_be(self, task: str, method: str) -> None:
        if self.task != task:
            raise InvalidConfig(f"{method}() is for '{task}' models; this one is '{self.task}'")

    def _stream(self, inputs: Iterator[Any], options: Any) -> Iterator[Any]:
        done = 0
        while window := list(islice(inputs, _WINDOW)):
            yield from self._answer(window, options, done)
            done += len(window)

    def _answer_one(self, value: Any, options: Any) -> Result:
        task, tokenizer = self._task, self._tokenizer
        item = task.parse(value, options)
        rows = task.encode(tokenizer, (item,), options)
        parts = self._engine.run(
            rows, tokenizer.policy, lambda outs, batch: task.reduce(outs, batch, options)
        )
        result = task.decode(tokenizer, item, rows, parts, options)
        if result.truncated:
            self._tell_truncated([result])
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
            for item, (mine, answers) in zip(items, _by_item(rows, parts, len(items)), strict=True)
        ]
        self._tell_truncated(results)
        return results

    def _parse(self, value: Any, index: int, options: Any) -> Any:
        try:
            return self._task.parse(value, options)
        except InvalidInput as exc:
            raise InvalidInput(f"input {index}: {exc}") from exc

    def _tell_truncated(self, results: Sequence[Result]) -> None:
        cut = [r.truncated for r in results if r.truncated]
        if cut:
            warnings.warn(
                f"{len(cut)} of {len(results)} inputs were longer than {self.max_length} tokens "
                f"and were cut (by up to {max(cut)} tokens); result.truncated says which",
                TruncationWarning,
                stacklevel=4,
            )


def _task(bundle: Bundle, graph: Graph) -> Task:
    manifest = bundle.manifest
    return tasks.create(manifest.task, manifest.settings, graph_stamp(manifest, graph))


def _usable_threads() -> int:
    from edge_tx.device import usable_threads  # not needed where the caller says how many

    return usable_threads()


class _Beside:
    """A call that runs in a thread of its own while its caller goes on."""

    def __init__(self, call: Callable[[], Engine]) -> None:
        self._call = call
        self._engine: Engine | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edge-tx-open")
        self._thread.start()

    def result(self) -> Engine:
        """What the call returned; raises what it raised."""
        self._thread.join()
        if self._engine is None:
            raise self._error or SessionFailed("opening the graph ended without a word")
        return self._engine

    def discard(self) -> None:
        """Waits, and closes what the call returned if it did."""
        self._thread.join()
        if self._engine is not None:
            self._engine.close()

    def _run(self) -> None:
        try:
            self._engine = self._call()
        except BaseException as exc:  # noqa: BLE001 - raised again where the result is asked for
            self._error = exc


def _by_item(
    rows: Sequence[Row], parts: Sequence[Any], items: int
) -> Iterator[tuple[Sequence[Row], Sequence[Any]]]:
    """Splits rows and parts, which stand in the items' order, into one pair of runs per item."""
    start = 0
    for item in range(items):
        end = start
        while end < len(rows) and rows[end].item == item:
            end += 1
        yield rows[start:end], parts[start:end]
        start = end
