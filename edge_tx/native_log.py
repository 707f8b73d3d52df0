"""Keeps native code's chatter off stderr, where a vendor has no switch for it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_litert"]

_STDERR = 2
_one_at_a_time = threading.Lock()
# What LiteRT says while it opens a graph, as if it were news: "Created ... delegate".
_CHATTER = b"INFO: "


@contextmanager
def quiet_litert() -> Iterator[None]:
    """Keeps LiteRT's log lines off stderr.

    Native code writes to the file descriptor, past ``sys.stderr``. What anybody else writes in
    the meantime is passed on afterwards.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # there is no stderr to keep clean
            yield
            return
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), _STDERR)
            try:
                yield
            finally:
                os.dup2(kept, _STDERR)
                os.close(kept)
                caught.seek(0)
                for line in caught:
                    if not line.startswith(_CHATTER):
                        os.write(_STDERR, line)
