"""The ``.etx`` file: a bundle in one zip, its members stored one after the other.

The form is strict, so that an archive has one meaning for every reader: the manifest first,
then the other files sorted by path, nothing compressed, encrypted or linked, no byte between
the members, before the first or after the end record. Whatever else a zip may be is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_tx import manifest_json, swap
from edge_tx.bundle_folder import files_of, read_folder
from edge_tx.cache import ENVIRONMENT, cache_root
from edge_tx.errors import BundleCorrupt, BundleError, BundleUnsafe, EdgeTxError
from edge_tx.manifest import FileRecord, Manifest
from edge_tx.manifest_json import LIMITS, MANIFEST

__all__ = ["SUFFIX", "Unpacked", "cache_folder", "check", "is_named", "pack", "unpacked"]

SUFFIX = ".etx"

_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can hold
_UNIX = 3
_UTF8_NAME = 0x800
_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")
_ZIP64_EXTRA = 20  # bytes; the one extra field there is need for
_MAX_DIRECTORY = 64 << 20

# What zipfile raises for damaged archives, found by fuzzing it.
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    RuntimeError,
    LookupError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive's folder.

    Attributes:
        root: The folder.
        manifest: What it says.
        holds: The temporary folder it is in, removed when this goes; None in the cache.
    """

    root: Path
    manifest: Manifest
    holds: tempfile.TemporaryDirectory[str] | None = None


def is_named(path: Path) -> bool:
    """Whether a path has the name of a packed bundle."""
    return path.name.lower().endswith(SUFFIX)


def pack(root: Path, manifest: Manifest, dest: Path) -> None:
    """Packs a bundle's folder; the same folder always gives the same bytes.

    Args:
        root: The folder.
        manifest: Of the folder.
        dest: The file to write, synced to disk at the end.
    """
    paths = [MANIFEST, *sorted(record.path for record in files_of(manifest))]
    with dest.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path in paths:
                _add(archive, root / path, path)
        file.flush()
        os.fsync(file.fileno())


def unpacked(path: Path) -> Unpacked:
    """Gives the folder of an archive: from the cache, or unpacked into it.

    The cache is keyed by the hash of the manifest alone. That is the identity of the whole:
    the manifest holds the hash of every other member, and each was compared while it was
    unpacked.

    Raises:
        BundleCorrupt: Not an archive of ours, truncated, or a member is damaged.
        BundleUnsafe: Holds what a bundle must not hold.
        BundleTooNew: A newer edge_tx wrote it.
        BundleError: The cache cannot be written.
    """
    with _opened(path) as (archive, members):
        data = _manifest_bytes(path, archive, members)
        manifest = manifest_json.read(data)
        _check_members(path, members, manifest)
        key = hashlib.sha256(data).hexdigest()[:32]
        cached = _writable_cache()
        if cached is None:
            holds = tempfile.TemporaryDirectory(prefix="edge_tx-")
            root = Path(holds.name) / key
            _unpack(path, archive, data, manifest, root)
            return Unpacked(root, manifest, holds)
        root = cached / key
        if not root.is_dir():
            _unpack_into_cache(path, archive, data, manifest, root)
    return Unpacked(root, _read_cached(root))


def check(path: Path) -> None:
    """Reads an archive through, whatever of it is in the cache.

    Raises:
        BundleCorrupt: A member is damaged, or it is not an archive of ours.
        BundleUnsafe: Holds what a bundle must not hold.
        BundleTooNew: A newer edge_tx wrote it.
    """
    with swap.io_errors(f"read {path}"), _opened(path) as (archive, members):
        manifest = manifest_json.read(_manifest_bytes(path, archive, members))
        _check_members(path, members, manifest)
        with Path(os.devnull).open("wb") as nowhere:
            for record in files_of(manifest):
                _copy_member(path, archive, record, nowhere)


def cache_folder() -> Path:
    """Where archives are unpacked to: ``$EDGE_TX_CACHE``, or the platform's cache folder."""
    root = cache_root()
    return root if os.environ.get(ENVIRONMENT) else root / "bundles"


def _writable_cache() -> Path | None:
    """The cache folder; None where the default one cannot be written (a read-only device)."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as exc:  # RuntimeError: there is no home folder
        if os.environ.get(ENVIRONMENT):
            reason = getattr(exc, "strerror", None) or exc
            raise BundleError(f"cannot write {ENVIRONMENT}={folder}: {reason}") from exc
        return None
    return folder


def _read_cached(root: Path) -> Manifest:
    try:
        return read_folder(root)
    except BundleError as exc:
        raise type(exc)(f"{exc}; this is a cached copy: delete {root}") from exc


def _add(archive: zipfile.ZipFile, source: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = source.stat().st_size
    with source.open("rb") as reader, archive.open(info, "w") as writer:
        shutil.copyfileobj(reader, writer, _CHUNK)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Sequence[zipfile.ZipInfo]]]:
    try:
        with path.open("rb") as file:
            _check_end(file)
            with zipfile.ZipFile(file) as archive:
                members = sorted(archive.infolist(), key=lambda info: info.header_offset)
                _check_form(file, members, archive.start_dir)
                yield archive, members
    except _Refused as exc:
        raise exc.error(f"{path}: {exc}") from exc.__cause__
    except EdgeTxError:  # some are ValueErrors too
        raise
    except _DAMAGE as exc:
        raise BundleCorrupt(f"{path}: not a whole {SUFFIX} archive: {_line(exc)}") from exc


class _Refused(Exception):
    def __init__(self, problem: str, error: type[BundleError] = BundleUnsafe) -> None:
        super().__init__(problem)
        self.error = error


def _check_end(file: IO[bytes]) -> None:
    """Checks that the file ends with the end record, which also rules out a comment."""
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise _Refused("too short to be an archive", BundleCorrupt)
    file.seek(size - _END.size)
    end = _END.unpack(file.read(_END.size))
    if end[0] != b"PK\x05\x06" or end[7]:
        raise _Refused(f"not a whole {SUFFIX} archive: bad end record", BundleCorrupt)
    if end[5] > _MAX_DIRECTORY:
        raise _Refused("its directory is too large")


def _check_form(file: IO[bytes], members: Sequence[zipfile.ZipInfo], directory: int) -> None:
    """Checks every member, and that they fill the file from its start to the directory."""
    if len(members) > LIMITS.files + 1:
        raise _Refused(f"more than {LIMITS.files} members")
    place = 0
    for info in members:
        name = repr(info.orig_filename[:80])
        problem = _member_problem(info)
        if problem:
            raise _Refused(f"member {name} {problem}")
        if info.header_offset != place:
            raise _Refused(f"member {name} overlaps another, or bytes are hidden before it")
        file.seek(place)
        local = _LOCAL.unpack(file.read(_LOCAL.size))
        if local[10] not in (0, _ZIP64_EXTRA):
            raise _Refused(f"member {name} hides bytes in its header")
        place += _LOCAL.size + local[9] + local[10] + info.file_size
    if place != directory:
        raise _Refused("bytes are hidden between the last member and the directory")
    names = [info.orig_filename for info in members]
    if len(set(names)) < len(names):
        raise _Refused("two members have one name")


def _member_problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.orig_filename != MANIFEST and manifest_json.path_problem(info.orig_filename):
        return "has an unsafe name"
    if info.flag_bits & ~_UTF8_NAME:
        return "is encrypted or of an unknown form"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is compressed, and members of a bundle are stored"
    if kind not in (0, stat.S_IFREG):
        return "is a link or not a file"
    return None


def _manifest_bytes(
    path: Path, archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]
) -> bytes:
    if not members or members[0].orig_filename != MANIFEST:
        raise BundleCorrupt(f"{path}: its first member is not {MANIFEST}: it is not a bundle")
    with archive.open(members[0]) as member:
        data = member.read(LIMITS.manifest_bytes + 1)
    if len(data) > LIMITS.manifest_bytes:
        raise BundleUnsafe(f"{path}: {MANIFEST} is larger than {LIMITS.manifest_bytes} bytes")
    return data


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo], manifest: Manifest) -> None:
    records = {record.path: record for record in files_of(manifest)}
    sizes = {info.orig_filename: info.file_size for info in members[1:]}
    for name in sorted(sizes.keys() - records.keys())[:1]:
        raise BundleUnsafe(f"{path} holds what its manifest does not name: {name!r}")
    for name, record in records.items():
        if name not in sizes:
            raise BundleCorrupt(f"{path}: {name} is missing")
        if sizes[name] != record.size:
            raise BundleCorrupt(
                f"{path}: {name} has {sizes[name]} bytes, the manifest says {record.size}"
            )


def _unpack_into_cache(
    path: Path, archive: zipfile.ZipFile, data: bytes, manifest: Manifest, root: Path
) -> None:
    with swap.io_errors(f"unpack {path} into {root.parent}"), swap.work_folder(root) as work:
        fresh = work / "fresh"
        _unpack(path, archive, data, manifest, fresh)
        try:
            fresh.rename(root)
        except OSError:
            if not root.is_dir():  # else another process was faster, with the same files
                raise


def _unpack(
    path: Path, archive: zipfile.ZipFile, data: bytes, manifest: Manifest, root: Path
) -> None:
    with swap.io_errors(f"unpack {path} into {root.parent}"):
        root.mkdir(mode=0o700)
        for record in files_of(manifest):
            target = root / record.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                _copy_member(path, archive, record, file)
        (root / MANIFEST).write_bytes(data)


def _copy_member(path: Path, archive: zipfile.ZipFile, record: FileRecord, file: IO[bytes]) -> None:
    digest = hashlib.sha256()
    left = record.size
    with archive.open(record.path) as member:
        while chunk := member.read(_CHUNK):
            left -= len(chunk)
            if left < 0:  # whatever the headers promised
                raise BundleUnsafe(f"{path}: {record.path} is larger than the manifest says")
            digest.update(chunk)
            file.write(chunk)
    if left or digest.hexdigest() != record.sha256:
        raise BundleCorrupt(f"{path}: {record.path} is damaged: its sha256 is not the manifest's")


def _line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200] or type(exc).__name__
