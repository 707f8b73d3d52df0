"""Bundles: opened with every path checked, read with every hash verified."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from edge_tx import swap
from edge_tx.bundle_folder import files_of, hash_file, read_folder
from edge_tx.digest import sha256_hex
from edge_tx.errors import BundleCorrupt, BundleError, InvalidConfig, UnknownName
from edge_tx.manifest import FileRecord, Graph, Manifest
from edge_tx.manifest_json import GOLDEN, TOKENIZER
from edge_tx.seals import Seals

if TYPE_CHECKING:
    import tempfile
    from types import TracebackType

    from edge_tx.bundle_writer import BundleWriter, stamp
    from edge_tx.golden_json import Golden
    from edge_tx.text import Tokenizer

__all__ = ["Bundle", "BundleWriter", "stamp"]


@final
class Bundle:
    """An open bundle. Made by :meth:`open`; safe to share between threads.

    Opening checks the manifest, every path and every size, and hashes nothing but what it
    reads: half a gigabyte of a graph that is not used need not be read at all. A file is
    hashed when it is asked for (:meth:`path`), once.

    Attributes:
        root: The folder its files are in.
        origin: What was opened: the folder, or the ``.etx`` file.
        manifest: What it says of itself.
    """

    def __init__(
        self,
        root: Path,
        origin: Path,
        manifest: Manifest,
        holds: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self.root = root
        self.origin = origin
        self.manifest = manifest
        self._holds = holds
        self._records = {record.path: record for record in files_of(manifest)}
        self._locks = {path: threading.Lock() for path in self._records}
        self._verified: set[str] = set()
        self._seals = Seals(root if holds is None else None)
        self._sealing = threading.Lock()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Opens a bundle, a folder or an ``.etx`` file.

        Raises:
            BundleError: There is nothing there, or it cannot be read.
            BundleCorrupt: The manifest is wrong, or a file is missing or of another size.
            BundleTooNew: A newer edge_tx wrote it.
            BundleUnsafe: It holds links, files the manifest does not name, or reaches outside.
        """
        origin = Path(os.path.realpath(path))
        with swap.io_errors(f"open {path}"):
            swap.recover(origin)
            if origin.is_dir():
                return cls(origin, origin, read_folder(origin))
            if origin.is_file():
                from edge_tx import archive  # zipfile is not needed for a folder

                unpacked = archive.unpacked(origin)
                return cls(unpacked.root, origin, unpacked.manifest, unpacked.holds)
        raise BundleError(f"no bundle at {path}: no such folder or .etx file")

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs, in the order they were made."""
        return self.manifest.graphs

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Every file the manifest names."""
        return tuple(self._records.values())

    @property
    def size(self) -> int:
        """Bytes of all files the manifest names."""
        return sum(record.size for record in self.files)

    def graph(self, name: str | None = None) -> Graph:
        """Finds a graph.

        Args:
            name: Of the graph, or of a backend for its first graph; None for the first of all.

        Raises:
            UnknownName: There is none of that name.
        """
        if name is None:
            return self.graphs[0]
        found = [g for g in self.graphs if g.name == name]
        found += [g for g in self.graphs if g.backend == name]
        if not found:
            raise UnknownName("graph of this bundle", name, (g.name for g in self.graphs))
        return found[0]

    def graphs_of(self, backend: str = "auto") -> tuple[Graph, ...]:
        """The graphs of a backend, or all of them.

        Raises:
            UnknownName: There is none of that backend.
        """
        found = tuple(g for g in self.graphs if backend in ("auto", g.backend))
        if not found:
            raise UnknownName("backend in this bundle", backend, {g.backend for g in self.graphs})
        return found

    def path(self, record: FileRecord) -> Path:
        """Where a file is, after its hash was verified.

        The first call for it reads it, unless it was read before on this machine and is
        untouched since, see :mod:`edge_tx.seals`.

        Raises:
            BundleCorrupt: Its contents are not what the manifest says.
            InvalidConfig: The record is not of this bundle.
        """
        self._check_ours(record)
        path = self.root / record.path
        with self._locks[record.path]:  # joins a prefetch that is under way
            if record.path not in self._verified:
                with swap.io_errors(f"read {path}"):
                    self._verify(record, path, trust_seals=True)
        return path

    def entry(self, graph: Graph) -> Path:
        """The file to open of a graph, after all its files were verified."""
        for record in graph.files:
            self.path(record)
        return self.root / graph.entry

    def prefetch(self, records: Iterable[FileRecord]) -> None:
        """Starts to verify files in the background; :meth:`path` waits for it.

        Hashing releases the GIL, so it costs next to nothing beside the import of a vendor's
        package.
        """
        wanted = tuple(records)
        for record in wanted:
            self._check_ours(record)
        threading.Thread(target=self._prefetch, args=(wanted,), daemon=True).start()

    def check(self) -> None:
        """Hashes every file, whatever is remembered of it; of an archive its members, too.

        Raises:
            BundleCorrupt: Lists all that are damaged.
        """
        problems = []
        for record in self.files:
            path = self.root / record.path
            try:
                with self._locks[record.path], swap.io_errors(f"read {path}"):
                    self._verify(record, path, trust_seals=False)
            except BundleError as exc:
                problems.append(str(exc))
        if problems:
            raise BundleCorrupt("; ".join(problems))
        if self.root != self.origin:
            from edge_tx import archive  # zipfile is not needed for a folder

            archive.check(self.origin)  # what was opened may have been in the cache

    def tokenizer(self) -> Tokenizer:
        """Makes the tokenizer.

        Raises:
            BundleCorrupt: The file is damaged.
        """
        from edge_tx.text import Tokenizer

        return Tokenizer(self.tokenizer_json(), self.manifest.tokenizer)

    def tokenizer_json(self) -> str:
        """Contents of ``tokenizer.json``."""
        try:
            return self._read(TOKENIZER).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise BundleCorrupt(f"{self.root / TOKENIZER} is not UTF-8") from exc

    def golden(self) -> Golden:
        """Reads the golden answers.

        Raises:
            BundleCorrupt: The file is damaged.
        """
        from edge_tx import golden_json

        return golden_json.read(self._read(GOLDEN))

    def pack(self, dest: str | os.PathLike[str]) -> Path:
        """Packs the bundle in one ``.etx`` file; packing twice gives the same bytes.

        Returns:
            The file, which replaces an older one at once.

        Raises:
            InvalidConfig: ``dest`` does not end in ``.etx``, or is something else.
            BundleError: It cannot be written, or a file of the bundle is damaged.
        """
        from edge_tx import archive
        from edge_tx.destination import destination

        target = destination(dest)
        if not archive.is_named(target):
            raise InvalidConfig(f"a packed bundle's name must end in {archive.SUFFIX}, not {dest}")
        self.check()
        with swap.io_errors(f"write {dest}"), swap.work_folder(target) as work:
            packed = work / "packed"
            archive.pack(self.root, self.manifest, packed)
            swap.publish(packed, target, work)
        return target

    def close(self) -> None:
        """Removes what was unpacked to a temporary folder, if that was needed."""
        if self._holds is not None:
            self._holds.cleanup()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(graph.name for graph in self.graphs)
        return f"Bundle({str(self.origin)!r}, task={self.manifest.task!r}, graphs=[{names}])"

    def _read(self, path: str) -> bytes:
        record = self._records[path]
        with swap.io_errors(f"read {self.root / path}"):
            data = (self.root / path).read_bytes()
        self._compare(record, len(data), sha256_hex(data))
        return data

    def _prefetch(self, records: tuple[FileRecord, ...]) -> None:
        for record in records:
            with contextlib.suppress(BundleError):  # whoever asks for the file raises it again
                self.path(record)

    def _verify(self, record: FileRecord, path: Path, *, trust_seals: bool) -> None:
        before = path.stat()
        if not (trust_seals and self._seals.hold(record, before)):
            size, sha256 = hash_file(path)
            self._compare(record, size, sha256)
            with self._sealing:
                self._seals.keep(record, before, path.stat())
        self._verified.add(record.path)

    def _check_ours(self, record: FileRecord) -> None:
        if self._records.get(record.path) != record:
            raise InvalidConfig(f"{record.path!r} is not a file of {self.origin}")

    def _compare(self, record: FileRecord, size: int, sha256: str) -> None:
        if (size, sha256) != (record.size, record.sha256):
            again = "export it again" if self.origin == self.root else f"delete {self.root}"
            raise BundleCorrupt(
                f"{self.root / record.path} is damaged: its sha256 is {sha256[:12]}..., the "
                f"manifest says {record.sha256[:12]}...; {again}"
            )


def __getattr__(name: str) -> Any:
    # Devices only read: what writes is imported when it is used.
    if name in ("BundleWriter", "stamp"):
        from edge_tx import bundle_writer

        return getattr(bundle_writer, name)
    raise AttributeError(f"module 'edge_tx.bundle' has no attribute '{name}'")
