"""TFLite graphs in LiteRT, or in tflite-runtime where only that is installed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edge_tx.backends import Placement, SessionConfig, find
from edge_tx.errors import EdgeTxError, InvalidConfig, SessionFailed
from edge_tx.native_log import LITERT, quiet
from edge_tx.runtimes import buckets
from edge_tx.runtimes.buckets import Bucket
from edge_tx.runtimes.tflite_runner import RUNTIMES, Runner, Runtime, Shape
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

__all__ = ["TfliteSession", "open_session"]

_CLOSED = "the session is closed: open it again"


def open_session(entry: Path, config: SessionConfig) -> TfliteSession:
    """Opens a TFLite graph.

    A graph is opened once per stream, as each serves one call at a time; further calls wait.
    The file's pages are shared; XNNPACK's packed copy of the weights is held for each stream and
    each bucket.

    Raises:
        InvalidConfig: Options were given; there are none.
        SessionFailed: The runtime refuses the graph, or its signatures are not those of a
            transformer at fixed shapes.
    """
    if config.options:
        given = ", ".join(name for name, _ in config.options)
        raise InvalidConfig(f"tflite has no options of its own, but {given} was given")
    runtime = RUNTIMES[find("tflite").module or "ai_edge_litert"]
    with _mapped(runtime, f"opening {entry.name}"), quiet(LITERT):
        runners = [Runner(runtime, entry, config.threads) for _ in range(config.streams)]
        return TfliteSession(runners, runtime, config)


class TfliteSession:
    """An open TFLite graph; see :class:`edge_tx.backends.Session`.

    Feeds may have any shape up to the longest bucket: rows are padded to the bucket that fits
    them best and run one bucket's batch at a time.
    """

    def __init__(self, runners: list[Runner], runtime: Runtime, config: SessionConfig) -> None:
        signatures = runners[0].signatures
        self._buckets = tuple(_bucket(name, ins) for name, (ins, _) in signatures.items())
        self._inputs = self._specs([ins for ins, _ in signatures.values()])
        self._outputs = self._specs([outs for _, outs in signatures.values()])
        self._runtime = runtime
        self._config = config
        # None in it says closed, and is put back for the next to see.
        self._idle: queue.LifoQueue[Runner | None] = queue.LifoQueue()
        for runner in runners:
            self._idle.put(runner)
        self._lock = threading.Lock()
        self._open = len(runners)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""
        return self._outputs

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The shapes that the graph runs at."""
        return self._buckets

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph; see :meth:`edge_tx.backends.Session.run`."""
        if not self._open:
            raise SessionFailed(_CLOSED)
        ready = check_feeds(self._inputs, feeds)
        rows, length = next(iter(ready.values())).shape
        steps = buckets.plan(self._buckets, rows, length)
        # Written out: after a run has emptied the caches, two context managers cost 40 us.
        runner = self._idle.get()
        try:
            if runner is None:
                raise SessionFailed(_CLOSED)
            parts = [
                (step, runner.run(step.bucket.name, buckets.filled(ready, step))) for step in steps
            ]
        except EdgeTxError:
            raise
        except Exception as exc:
            raise _failure(self._runtime, "running the graph", exc) from exc
        finally:
            self._idle.put(runner)
        return buckets.gathered(self._outputs, parts, length)

    def placement(self) -> Placement:
        """Says which runtime executes."""
        if not self._open:
            raise SessionFailed(_CLOSED)
        return Placement(
            backend="tflite",
            device="cpu",
            provider="XNNPACK",
            threads=self._config.threads,
            streams=self._config.streams,
            runtime=self._runtime.label,
        )

    def close(self) -> None:
        """Frees the graph, after the calls under way."""
        with self._lock:
            while self._open:
                self._idle.get()
                self._open -= 1
                if not self._open:
                    self._idle.put(None)

    def _specs(self, tensors: list[tuple[Shape, ...]]) -> tuple[TensorSpec, ...]:
        """Specs of the inputs or outputs, from what they are at each bucket."""
        first, *others = ([(t.name, t.dtype) for t in at] for at in tensors)
        if any(sorted(other) != sorted(first) for other in others):
            raise SessionFailed("the graph's signatures do not have the same inputs and outputs")
        sizes = [
            (bucket, {t.name: t.dims for t in at})
            for bucket, at in zip(self._buckets, tensors, strict=True)
        ]
        return tuple(
            _spec(name, dtype, [(bucket, dims[name]) for bucket, dims in sizes])
            for name, dtype in first
        )


def _spec(name: str, dtype: str, shapes: list[tuple[Bucket, tuple[int, ...]]]) -> TensorSpec:
    try:
        return TensorSpec(name, DType(dtype), buckets.symbolic(shapes))
    except ValueError as exc:
        raise SessionFailed(f"'{name}' is not a tensor of a transformer: {exc}") from exc


def _bucket(name: str, inputs: tuple[Shape, ...]) -> Bucket:
    shapes = {tensor.dims for tensor in inputs}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        found = ", ".join(f"{t.name}{list(t.dims)}" for t in inputs)
        raise SessionFailed(f"signature '{name}' takes {found}, not inputs of one [batch, seq]")
    return Bucket(name, *next(iter(shapes)))


@contextmanager
def _mapped(runtime: Runtime, doing: str) -> Iterator[None]:
    """Turns whatever the runtime raises into one line of ours."""
    try:
        yield
    except EdgeTxError:
        raise
    except Exception as exc:
        raise _failure(runtime, doing, exc) from exc


def _failure(runtime: Runtime, doing: str, exc: Exception) -> SessionFailed:
    line = " ".join(str(exc).split())  # RuntimeError and ValueError, with C++ lines in front
    return SessionFailed(f"{runtime.title} failed while {doing}: {line[:300]}")
