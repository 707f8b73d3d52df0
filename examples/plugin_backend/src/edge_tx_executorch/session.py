"""ExecuTorch graphs in ExecuTorch's own runtime, through its Python binding."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_tx.backends import Placement, SessionConfig
from edge_tx.errors import EdgeTxError, InvalidConfig, SessionFailed
from edge_tx.native_log import quiet
from edge_tx.runtimes import buckets
from edge_tx.runtimes.buckets import Bucket
from edge_tx.tensors import Array, TensorSpec, check_feeds
from edge_tx_executorch import specs

__all__ = ["ExecuTorchSession", "open_session"]

_CLOSED = "the session is closed: open it again"
_METHOD = "forward"
# "[threadpool.cpp:66] Resetting threadpool to 2 threads."
_CHATTER = re.compile(r"\[\w+\.(?:cpp|h):\d+\] ")


def open_session(entry: Path, config: SessionConfig) -> ExecuTorchSession:
    """Opens an ExecuTorch graph.

    Raises:
        InvalidConfig: Options were given, of which there are none; or an open session of this
            process holds the thread pool at another number of threads.
        SessionFailed: ExecuTorch refuses the graph, or it is none of ours.
    """
    if config.options:
        given = ", ".join(name for name, _ in config.options)
        raise InvalidConfig(f"executorch has no options of its own, but {given} was given")
    with _mapped(f"opening {entry.name}"), quiet(_CHATTER), ExitStack() as undo:
        # Calls run one after the other, so each may have the threads of all streams.
        _POOL.take(config.threads * config.streams)
        undo.callback(_POOL.give)
        binding = _binding()
        program = binding._load_program(
            str(entry), program_verification=binding.Verification.InternalConsistency
        )
        session = ExecuTorchSession(program)
        undo.pop_all()
        return session


class ExecuTorchSession:
    """An open ExecuTorch graph; see :class:`edge_tx.backends.Session`.

    Feeds may have any number of rows: they are run as many at a time as the graph has memory
    planned for.
    """

    def __init__(self, program: Any) -> None:
        (text,) = program.load_method(specs.METHOD).call([])
        self._inputs, self._outputs = specs.loads(text)
        self._method: Any = program.load_method(_METHOD)
        self._largest = Bucket(_METHOD, *self._method.method_meta().input_tensor_meta(0).sizes())
        self._lock = threading.Lock()
        self._release = weakref.finalize(self, _POOL.give)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph; see :meth:`edge_tx.backends.Session.run`."""
        ready = check_feeds(self._inputs, feeds)
        rows, length = next(iter(ready.values())).shape
        steps = buckets.plan((self._largest,), rows, length)
        with self._lock, _mapped("running the graph"):
            parts = [(step, self._call(ready, step.start, step.stop)) for step in steps]
        return buckets.gathered(self._outputs, parts, length)

    def placement(self) -> Placement:
        """Says what executes, with as many threads as ExecuTorch's pool has."""
        if self._method is None:
            raise SessionFailed(_CLOSED)
        return Placement(
            backend="executorch",
            device="cpu",
            provider="XNNPACK",
            threads=_binding()._threadpool_get_thread_count(),
            streams=1,
            runtime=f"executorch {version('executorch')}",
        )

    def close(self) -> None:
        """Frees the graph, after the call under way."""
        with self._lock:
            self._method = None
        self._release()

    def _call(self, feeds: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
        import torch

        if self._method is None:
            raise SessionFailed(_CLOSED)
        # A copy, as torch shares no read-only memory; the rows are a few kilobytes.
        tensors = [torch.tensor(array[start:stop]) for array in feeds.values()]
        results = self._method.call(tensors)  # clones of what the runtime holds
        return {s.name: out.numpy() for s, out in zip(self._outputs, results, strict=True)}


class _Pool:
    """ExecuTorch's thread pool, of which there is one in a process.

    XNNPACK keeps a pointer to it from the time a graph is opened, so that it may be replaced
    only while none is open (https://github.com/pytorch/executorch/pull/17641).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0

    def take(self, threads: int) -> None:
        """Counts a graph in.

        Raises:
            InvalidConfig: Another graph is open, with another number of threads.
        """
        binding = _binding()
        with self._lock:
            now = binding._threadpool_get_thread_count()
            if threads != now and self._users:
                raise InvalidConfig(
                    f"ExecuTorch has one thread pool per process, and an open graph holds it at "
                    f"{now} threads: ask for {now}, or close that graph, not {threads}"
                )
            if threads != now:
                binding._unsafe_reset_threadpool(threads)
            self._users += 1

    def give(self) -> None:
        """Counts a graph out."""
        with self._lock:
            self._users -= 1


_POOL = _Pool()


def _binding() -> ModuleType:
    """The native module itself: ``executorch.runtime`` imports the whole exporter, for 6 s more."""
    import torch  # noqa: F401 - loads the libraries that the binding is linked with
    from executorch.extension.pybindings import _C

    return _C  # type: ignore[no-any-return]


@contextmanager
def _mapped(doing: str) -> Iterator[None]:
    """Turns whatever ExecuTorch raises into one line of ours."""
    try:
        yield
    except EdgeTxError:
        raise
    except Exception as exc:  # RuntimeError of the binding; ValueError of specs of another maker
        line = " ".join(str(exc).split())
        raise SessionFailed(f"ExecuTorch failed while {doing}: {line[:300]}") from exc
