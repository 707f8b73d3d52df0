"""Where a bundle may be written: never over anything that is not one."""

from __future__ import annotations

import os
from pathlib import Path

from edge_tx import archive, swap
from edge_tx.errors import EdgeTxError, InvalidConfig
from edge_tx.manifest_json import GOLDEN, MANIFEST, TOKENIZER
from edge_tx.strict_json import loads

__all__ = ["destination"]

_OWN = {MANIFEST, TOKENIZER, GOLDEN, "graphs"}


def destination(dest: str | os.PathLike[str]) -> Path:
    """Checks that a bundle may be written somewhere, and resolves links on the way.

    Raises:
        InvalidConfig: Something that is not a bundle is there.
        BundleError: It cannot be looked at.
    """
    path = Path(os.path.realpath(dest))
    with swap.io_errors(f"write {dest}"):
        swap.recover(path)
        if not os.path.lexists(path):
            return path
        problem = (_file_problem if archive.is_named(path) else _folder_problem)(path)
    if problem:
        raise InvalidConfig(f"{dest} {problem}: it is not replaced; choose another name")
    return path


def _file_problem(path: Path) -> str | None:
    if not path.is_file():
        return f"is a folder, and a name in {archive.SUFFIX} is for a packed bundle"
    with path.open("rb") as file:
        start = file.read(30 + len(MANIFEST))
    is_ours = start.startswith(b"PK\x03\x04") and start.endswith(MANIFEST.encode())
    return None if is_ours else "is a file that is not a packed bundle"


def _folder_problem(path: Path) -> str | None:
    if not path.is_dir():
        return "is a file"
    names = {entry.name for entry in path.iterdir()}
    if not names:
        return None
    strays = sorted(names - _OWN)
    if MANIFEST not in names:
        return "is a folder that is not a bundle"
    if strays:
        return f"is a folder that holds more than a bundle ({strays[0]!r})"
    try:
        found = loads((path / MANIFEST).read_bytes(), MANIFEST)
    except EdgeTxError:
        found = None
    is_ours = isinstance(found, dict) and {"schema", "graphs", "edge_tx"} <= found.keys()
    return None if is_ours else f"is a folder whose {MANIFEST} is not a bundle's"
