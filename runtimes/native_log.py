"""Keeps the log lines of native code off stderr, where a runtime has no switch for them."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_STDERR = 2
_one_at_a_time = threading.Lock()


@contextmanager
def quiet(chatter: re.Pattern[bytes]) -> Iterator[None]:
    """Drops lines from stderr as long as the block lasts.

    Native code writes to the file descriptor, past ``sys.stderr``. What anybody else writes in
    the meantime is passed on afterwards.

    Args:
        chatter: Lines that match it from their start are dropped.
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
                    if not chatter.match(line):
                        os.write(_STDERR, line)
