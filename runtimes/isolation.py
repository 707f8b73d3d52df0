"""Calls a function in a process of its own, for native code that may crash.

The child is ``python -m MODULE``: it reads one request from stdin as JSON and writes one reply
to stdout; whatever native code prints goes to stderr. An error the child raises on purpose is
raised here again; a crash becomes an error that names the signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from edge_tx import errors
from edge_tx.errors import EdgeTxError, SessionFailed
from edge_tx.strict_json import Reader, dumps, encode, loads

__all__ = ["call", "serve"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Reply:
    answer: Any
    error: str
    message: str


def call(module: str, request: object, answer: type[T], doing: str) -> T:
    """Has a module answer a request.

    Args:
        module: One that calls :func:`serve` when it is run.
        request: A frozen dataclass.
        answer: Class of the answer, a frozen dataclass.
        doing: What the child does, for messages: ``"building X"``.

    Returns:
        The answer.

    Raises:
        SessionFailed: The child crashed.
        EdgeTxError: What the child raised.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=dumps(encode(request)),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SessionFailed(
            f"{doing} failed: its process {_ending(done.returncode)}{_last_words(done.stderr)}"
        )
    reader = Reader(f"reply of the process {doing}", SessionFailed)
    reply = reader.read(_Reply, loads(done.stdout, reader.name, SessionFailed))
    if reply.error:
        raise _error(reply)
    return reader.read(answer, reply.answer)


def serve(request: type[R], function: Callable[[R], object]) -> None:
    """Answers one request, in the child.

    Args:
        request: Class of the request, a frozen dataclass.
        function: Gives the answer.
    """
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    plain = loads(sys.stdin.buffer.read(), "request", SessionFailed)
    try:
        answer = function(Reader("request", SessionFailed).read(request, plain))
        reply = _Reply(encode(answer), "", "")
    except EdgeTxError as exc:
        reply = _Reply(None, type(exc).__name__, str(exc))
    with out:
        out.write(dumps(encode(reply)))


def _error(reply: _Reply) -> EdgeTxError:
    """The same error; one whose class takes more than a message becomes a SessionFailed."""
    kind = getattr(errors, reply.error, SessionFailed)
    plain = isinstance(kind, type) and issubclass(kind, EdgeTxError)
    try:
        return kind(reply.message) if plain else SessionFailed(reply.message)
    except TypeError:
        return SessionFailed(reply.message)


def _ending(code: int) -> str:
    if code < 0:
        names = {s.value: s.name for s in signal.Signals}
        return f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"ended with exit code {code}"


def _last_words(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line]
    return f": {told[-1][:300]}" if told else ""
