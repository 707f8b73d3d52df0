"""Work beside the window: Tk's objects are touched by one thread only, so results queue up."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge_tx import EdgeTxError

__all__ = ["Worker"]

T = TypeVar("T")


class Worker:
    """One thread that works, and a queue of what the window is to do about it.

    Args:
        failed: Is told, in the window's thread, what went wrong, in one line.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._pool = ThreadPoolExecutor(1)
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def start(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Runs ``work`` in the thread, then ``then`` with its result in the window's."""

        def run() -> None:
            try:
                result = work()
            except (EdgeTxError, OSError) as exc:
                message = str(exc)
                self.post(lambda: self._failed(message))
            else:
                self.post(lambda: then(result))

        self._pool.submit(run)

    def post(self, call: Callable[[], None]) -> None:
        """Asks for a call in the window's thread; may be called from any other."""
        self._calls.put(call)

    def deliver(self) -> None:
        """Makes the calls asked for so far; the window does this a few times a second."""
        while True:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return
            call()

    def close(self) -> None:
        """Waits for the work at hand and drops the rest."""
        self._pool.shutdown(cancel_futures=True)
