"""What went wrong, as one line and an exit code."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import click

from edge_tx.errors import EdgeTxError

__all__ = ["INTERNAL", "INTERRUPTED", "NO_MEMORY", "SYSTEM", "Failure", "explain"]

INTERNAL = 70  # EX_SOFTWARE of sysexits.h
NO_MEMORY = 71  # EX_OSERR
SYSTEM = 74  # EX_IOERR
INTERRUPTED = 130  # 128 + SIGINT

_ADVICE = {
    errno.ENOSPC: "free some space, or write somewhere else",
    errno.EDQUOT: "free some space, or write somewhere else",
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "write somewhere else",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What the command line says and returns.

    Attributes:
        lines: For stderr.
        exit_code: For the shell.
    """

    lines: tuple[str, ...]
    exit_code: int


def explain(exc: Exception) -> Failure:
    """Turns whatever was raised into what the user sees."""
    if isinstance(exc, EdgeTxError):
        return Failure((_line(str(exc)),), exc.exit_code)
    if isinstance(exc, click.ClickException):
        return _usage(exc)
    if isinstance(exc, click.Abort):  # how click passes Ctrl-C on
        return Failure((_line("interrupted"),), INTERRUPTED)
    if isinstance(exc, OSError) and exc.errno is not None:
        return _system(exc)
    if isinstance(exc, MemoryError):
        return Failure((_line("out of memory: use a smaller model or batch"),), NO_MEMORY)
    return Failure(
        (
            _line(f"{type(exc).__name__}: {exc}"),
            "This is a bug in edge_tx. EDGE_TX_TRACEBACK=1 shows where: please report it.",
        ),
        INTERNAL,
    )


def _usage(exc: click.ClickException) -> Failure:
    message = exc.format_message()
    path = exc.ctx.command_path if isinstance(exc, click.UsageError) and exc.ctx else ""
    hint = f" (see {path} --help)" if path else ""
    return Failure((_line(message.rstrip(".") + hint),), exc.exit_code)


def _system(exc: OSError) -> Failure:
    what = exc.strerror or type(exc).__name__
    where = f": {exc.filename}" if exc.filename else ""
    advice = f"; {_ADVICE[exc.errno]}" if exc.errno in _ADVICE else ""
    return Failure((_line(f"{what}{where}{advice}"),), SYSTEM)


def _line(message: str) -> str:
    return "edge-tx: error: " + " ".join(message.split())
