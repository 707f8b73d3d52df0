"""Inputs of ``edge-tx run``: arguments, a file or stdin; plain text or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidInput

__all__ = ["FORMATS", "from_arguments", "from_lines", "from_path", "options", "to_measure"]

Reader = Callable[[str, str], Any]

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def from_arguments(texts: Sequence[str], kind: str) -> Iterator[Any]:
    """The inputs among the arguments."""
    read = FORMATS[kind]
    return (read(text, f"argument {number}") for number, text in enumerate(texts, 1))


def from_path(path: str, kind: str) -> Iterator[Any]:
    """The inputs of a file, one a line; ``-`` is stdin.

    Raises:
        InvalidInput: A line is not UTF-8, or not JSON where it must be.
    """
    if path == "-":
        yield from from_lines(sys.stdin.buffer, "stdin", kind)
        return
    if kind == "auto" and path.endswith(_JSON_SUFFIXES):
        kind = "jsonl"
    with Path(path).open("rb") as file:
        yield from from_lines(file, path, kind)


def to_measure(path: str | None) -> tuple[Any, ...]:
    """The inputs of a file to measure with; none without a file.

    Raises:
        InvalidInput: The file holds none, or as for :func:`from_path`.
    """
    if path is None:
        return ()
    found = tuple(from_path(path, "auto"))
    if not found:
        raise InvalidInput(f"{path} holds no inputs to measure with: one a line")
    return found


def from_lines(lines: Iterable[bytes], name: str, kind: str) -> Iterator[Any]:
    r"""The inputs of lines of bytes.

    Only ``\n`` and ``\r\n`` end a line, as texts may hold Unicode's other separators. An
    empty line is an empty text, so that answers stay beside their lines; in JSON lines it is
    skipped.

    Args:
        lines: With their ends.
        name: Of the source, for messages.
        kind: A key of :data:`FORMATS`.

    Raises:
        InvalidInput: A line is not UTF-8, or not JSON where it must be.
    """
    read = FORMATS[kind]
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        text = _decoded(line, where, first=number == 1).removesuffix("\n").removesuffix("\r")
        if kind == "jsonl" and not text.strip():
            continue
        yield read(text, where)


def options(pairs: Sequence[str]) -> dict[str, Any]:
    """Task options of ``key=value`` words; a value that is JSON is read as such.

    Raises:
        InvalidInput: A word has no ``=``.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidInput(f"option '{pair}' is not key=value, e.g. --option top_k=3")
        found[key.replace("-", "_")] = _value(value)
    return found


def _text(text: str, _where: str) -> Any:
    return text


def _json(text: str, where: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"{where} is not JSON: {exc}; --input-format text reads text") from exc
    return tuple(value) if isinstance(value, list) else value


def _either(text: str, where: str) -> Any:
    """JSON objects and lists are pairs and records; all else is text."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return _json(text, where)
    except InvalidInput:  # "[sic] he wrote" is text
        return text


FORMATS: dict[str, Reader] = {"auto": _either, "text": _text, "jsonl": _json}


def _decoded(line: bytes, where: str, first: bool) -> str:
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput(
            f"{where} is not UTF-8 (byte 0x{line[exc.start]:02x} at {exc.start + 1}): "
            "convert it first, e.g. iconv -f latin1 -t utf-8"
        ) from exc


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except (ValueError, RecursionError):
        return word
