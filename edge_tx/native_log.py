"""Keeps the log lines of native code off stderr, where a runtime has no switch for them."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

__all__ = ["LITERT", "quiet"]

#: What LiteRT says while it opens a graph, as if it were news: "Created ... delegate".
LITERT = re.compile("INFO: ")

_STDERR = 2
_one_at_a_time = threading.Lock()


@contextmanager
def quiet(chatter: re.Pattern[str]) -> Iterator[None]:
    """Drops lines from stderr as long as the block lasts.

    Native code writes to the file descriptor, and a binding may write to ``sys.stderr``. What
    anybody else writes to either in the meantime is passed on afterwards.

    Args:
        chatter: Lines that match it from their start are dropped.
    """
    with _one_at_a_time, _python_level(chatter), _descriptor(chatter):
        yield


@contextmanager
def _python_level(chatter: re.Pattern[str]) -> Iterator[None]:
    caught = io.StringIO()
    try:
        with redirect_stderr(caught):
            yield
    finally:
        for line in caught.getvalue().splitlines(keepends=True):
            if not chatter.match(line):
                sys.stderr.write(line)


@contextmanager
def _descriptor(chatter: re.Pattern[str]) -> Iterator[None]:
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
                if not chatter.match(line.decode(errors="replace")):
                    os.write(_STDERR, line)
