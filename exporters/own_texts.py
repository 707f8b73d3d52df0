"""The user's own inputs for the parity gate, from Python or from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidInput

__all__ = ["read"]


def read(texts: Sequence[Any] | str | os.PathLike[str] | None) -> list[Any] | None:
    """Reads them.

    Args:
        texts: Inputs, or a file of them: ``.jsonl`` with one JSON value per line (a text, or a
            pair as a list), else one text per line; None for none.

    Raises:
        InvalidInput: There are none, or the file cannot be read.
    """
    if texts is None:
        return None
    found = _read(Path(texts)) if isinstance(texts, (str, os.PathLike)) else list(texts)
    if not found:
        raise InvalidInput("there is no text to check the graph with: give at least one")
    return found


def _read(path: Path) -> list[Any]:
    try:
        # Only "\n" ends a line: texts may hold what Unicode calls a separator, too.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as exc:
        raise InvalidInput(f"cannot read texts from {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise InvalidInput(
            f"{path} is not UTF-8 (byte {exc.start}): convert it with iconv -t utf-8"
        ) from exc
    kept = [(n, line.removesuffix("\r")) for n, line in enumerate(lines, 1) if line.strip()]
    if path.suffix != ".jsonl":
        return [line for _, line in kept]
    return [_json(path, number, line) for number, line in kept]


def _json(path: Path, number: int, line: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise InvalidInput(f"{path}, line {number} is not JSON: {exc}") from exc
    return tuple(value) if isinstance(value, list) else value
