"""Reading and hashing the files of a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_tx.errors import UnsupportedModel

__all__ = ["first_line", "parse_json", "read_json", "sha256_of"]


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        UnsupportedModel: It is missing, or holds something else.
    """
    value = parse_json(path)
    if not isinstance(value, dict):
        raise UnsupportedModel(f"{path} holds a {type(value).__name__}, not an object")
    return value


def sha256_of(paths: Iterable[Path]) -> str:
    """Hash of the contents of files, one after the other; a single file's is its own hash."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def parse_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UnsupportedModel: It is missing, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise UnsupportedModel(f"{path} is missing: is {path.parent} the model's folder?") from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise UnsupportedModel(f"{path} is not JSON: {first_line(exc)}") from exc


def first_line(exc: BaseException) -> str:
    """First line of an error's message; its class if it has none."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)
