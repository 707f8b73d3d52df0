"""Sessions of one graph, and the streams that feed them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_tx.backends import Placement, Session
from edge_tx.errors import InvalidConfig, SessionFailed
from edge_tx.runtimes.scheduling import Batch, plan, run
from edge_tx.tensors import Array
from edge_tx.text import Row, TokenizerPolicy, collate

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Engine"]

OpenSession = Callable[[int, int], Session]
Reduce = Callable[[Mapping[str, Array], Sequence[Row]], list[Any]]

# A second session costs its load time (0.2 s for all-MiniLM-L6-v2) and gains about a quarter of
# the work's, so it must have a second's work to pay: this many batches.
_WORTH_STREAMS = 16

_CLOSED = "the model is closed: load it again"


class Engine:
    """Runs rows through a graph: one at a time with all threads, or many at a time.

    A single row is answered soonest by a session that spreads each operator over all threads.
    A long list is answered soonest by one-thread streams side by side, which need no barrier
    after each operator. The two want differently laid out sessions: the second is opened when
    a call first brings enough rows.

    Args:
        open_session: Called with ``(threads, streams)``.
        threads: CPU threads to use in all.
        streams: 1 keeps to the first kind, more opens the second kind at once with that many
            streams; None chooses by the work.

    Raises:
        InvalidConfig: More streams than threads.
    """

    def __init__(self, open_session: OpenSession, threads: int, streams: int | None) -> None:
        if streams is not None and not 1 <= streams <= threads:
            raise InvalidConfig(f"streams must be 1 to {threads} (the threads), not {streams}")
        self._open_session = open_session
        self._threads = threads
        self._lock = threading.Lock()
        self._closed = False
        self._adaptive = streams is None and threads > 1
        self._streams = threads if streams is None else streams
        self._wide: Session | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._deep: Session
        if self._adaptive or self._streams == 1:
            self._deep = open_session(threads, 1)
        else:
            self._deep = self._widen()

    def run(self, rows: Sequence[Row], policy: TokenizerPolicy, reduce: Reduce) -> list[Any]:
        """Runs rows in batches of like length.

        Args:
            rows: Any number of rows.
            policy: How they are padded.
            reduce: Called with a batch's arrays and its rows; gives one part per row.

        Returns:
            One part per row, in the rows' order.

        Raises:
            SessionFailed: The graph failed, or the engine is closed.
        """
        if self._closed:
            raise SessionFailed(_CLOSED)
        if len(rows) == 1:  # the whole of a single text's way, kept free of planning
            return reduce(self._deep.run(collate(rows, policy)), rows)
        batches = plan([len(row.ids) for row in rows])
        session, pool = self._for(len(batches))
        parts: list[Any] = [None] * len(rows)

        def work(batch: Batch) -> None:
            chosen = [rows[i] for i in batch]
            results = reduce(session.run(collate(chosen, policy)), chosen)
            for index, part in zip(batch, results, strict=True):
                parts[index] = part

        try:
            run(work, batches, pool)
        except RuntimeError as exc:  # the pool's word for "closed meanwhile by another thread"
            if not self._closed:
                raise
            raise SessionFailed(_CLOSED) from exc
        return parts

    @property
    def session(self) -> Session:
        """The session that answers single rows."""
        return self._deep

    def placement(self) -> Placement:
        """Where single rows run."""
        return self._deep.placement()

    def close(self) -> None:
        """Closes the sessions, after the calls under way."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=True)
            for session in (self._deep, self._wide):
                if session is not None:
                    session.close()

    def _for(self, batches: int) -> tuple[Session, ThreadPoolExecutor | None]:
        if self._wide is None and self._adaptive and batches >= _WORTH_STREAMS:
            with self._lock:
                if self._wide is None and not self._closed:
                    self._widen()
        if self._wide is not None and batches >= self._streams:
            return self._wide, self._pool
        return self._deep, None

    def _widen(self) -> Session:
        from concurrent.futures import ThreadPoolExecutor  # 4 ms that a single text need not pay

        self._wide = self._open_session(self._threads // self._streams, self._streams)
        self._pool = ThreadPoolExecutor(self._streams, thread_name_prefix="edge-tx-stream")
        return self._wide
