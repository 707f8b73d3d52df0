"""The files of a bundle's folder: which there are, and that no others are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_tx import manifest_json
from edge_tx.digest import sha256_for
from edge_tx.errors import BundleCorrupt, BundleUnsafe
from edge_tx.manifest import FileRecord, Manifest
from edge_tx.manifest_json import GOLDEN, LIMITS, MANIFEST, TOKENIZER

__all__ = ["files_of", "hash_file", "read_folder"]


def files_of(manifest: Manifest) -> Iterator[FileRecord]:
    """Every file a manifest names."""
    yield from manifest.files
    for graph in manifest.graphs:
        yield from graph.files


def hash_file(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a file."""
    expected = path.stat().st_size
    digest = sha256_for(expected)()
    size = 0
    # Large pieces: a background thread waits for the GIL at each, behind whatever import or
    # native call holds it.
    buffer = memoryview(bytearray(min(1 << 24, expected + 1)))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            size += count
    return size, digest.hexdigest()


def read_folder(root: Path) -> Manifest:
    """Reads a bundle's folder: the manifest, and that exactly its files are there.

    Raises:
        BundleError: See :meth:`edge_tx.bundle.Bundle.open`.
    """
    manifest = manifest_json.read(_manifest_bytes(root))
    records = {record.path: record for record in files_of(manifest)}
    folders = {str(p) for path in records for p in _parents(path)}
    found = dict(_walk(root, "", folders))
    unnamed = sorted(found.keys() - records.keys() - {MANIFEST})
    if unnamed:
        shown = ", ".join(repr(name) for name in unnamed[:5])
        raise BundleUnsafe(f"{root} holds what its manifest does not name: {shown}")
    for path, record in records.items():
        if path not in found:
            raise BundleCorrupt(f"{root}: {path} is missing")
        if found[path] != record.size:
            raise BundleCorrupt(
                f"{root}: {path} has {found[path]} bytes, the manifest says {record.size}"
            )
        if path in (TOKENIZER, GOLDEN) and record.size > LIMITS.json_bytes:
            raise BundleUnsafe(f"{root}: {path} is larger than {LIMITS.json_bytes} bytes")
    return manifest


def _manifest_bytes(root: Path) -> bytes:
    path = root / MANIFEST
    try:
        info = path.lstat()
    except FileNotFoundError:
        raise BundleCorrupt(f"{root} holds no {MANIFEST}: it is not a bundle") from None
    if not stat.S_ISREG(info.st_mode):
        raise BundleUnsafe(f"{root}: {MANIFEST} is a link or not a file")
    with path.open("rb") as file:
        return file.read(LIMITS.manifest_bytes + 1)


def _walk(root: Path, inside: str, folders: set[str]) -> Iterator[tuple[str, int]]:
    """Sizes by path of what a folder holds; folders without named files count as files."""
    with os.scandir(root / inside) as entries:
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode) and path in folders:
                yield from _walk(root, path, folders)
            elif stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
                yield path, info.st_size
            else:
                raise BundleUnsafe(f"{root}: {path!r} is a link or not a file")


def _parents(path: str) -> Iterator[str]:
    for index, char in enumerate(path):
        if char == "/":
            yield path[:index]
