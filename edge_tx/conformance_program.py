"""Runs a program that is to prove itself: questions on its stdin, answers on its stdout."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from edge_tx.errors import InvalidConfig

__all__ = ["Outcome", "command_of", "run"]

MAX_ANSWER_BYTES = 256 << 20
_LINE = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did.

    Attributes:
        answers: Its stdout.
        failure: Why it did not end well; empty if it did.
        seconds: From its start to its end.
    """

    answers: bytes
    failure: str
    seconds: float


def command_of(line: str) -> tuple[str, ...]:
    """Splits a command line as a shell does, without running one.

    Raises:
        InvalidConfig: It is empty, or a quote is not closed.
    """
    try:
        words = tuple(shlex.split(line))
    except ValueError as exc:
        raise InvalidConfig(f"cannot read the command {line!r}: {exc}") from exc
    if not words:
        raise InvalidConfig("the command is empty: give the program and its arguments")
    return words


def run(command: Sequence[str], questions: bytes, *, timeout_s: float) -> Outcome:
    """Runs a program to its end.

    Its streams are files, not pipes: one that never reads or writes without end cannot block us
    or fill our memory.

    Args:
        command: The program and its arguments.
        questions: What it reads.
        timeout_s: When it is killed, with its children.

    Raises:
        InvalidConfig: It cannot be started.
    """
    with contextlib.ExitStack() as stack:
        stdin, stdout, stderr = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        stdin.write(questions)
        stdin.seek(0)
        began = time.monotonic()
        process = _start(command, stdin, stdout, stderr)
        try:
            code: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _kill(process)
        seconds = time.monotonic() - began
        failure = _failure(code, timeout_s, _last_line(stderr))
        if stdout.seek(0, os.SEEK_END) > MAX_ANSWER_BYTES:
            return Outcome(b"", f"it wrote more than {MAX_ANSWER_BYTES >> 20} MiB", seconds)
        stdout.seek(0)
        return Outcome(stdout.read(), failure, seconds)


def _start(
    command: Sequence[str], stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
    except OSError as exc:
        raise InvalidConfig(
            f"cannot start {command[0]!r}: {exc.strerror}; --exec takes a program and its arguments"
        ) from exc


def _kill(process: subprocess.Popen[Any]) -> None:
    """Ends a program and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(code: int | None, timeout_s: float, said: str) -> str:
    if code == 0:
        return ""
    if code is None:
        what = f"it was not done after {timeout_s:g} s"
    elif code < 0:
        what = f"it was killed by {_signal_name(-code)}"
    else:
        what = f"it ended with exit code {code}"
    return f"{what}: {said}" if said else what


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


def _last_line(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8192))
    return next(_lines_from_end(stream.read().decode("utf-8", "replace")), "")[:_LINE]


def _lines_from_end(text: str) -> Iterator[str]:
    return (" ".join(line.split()) for line in reversed(text.splitlines()) if line.strip())
