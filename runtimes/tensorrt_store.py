"""Where built engines are kept, and which of them may be opened.

An engine is native code for one GPU: opening one that somebody else left there is running
somebody else's program. So an engine is opened only when it lies in a folder that nobody else
may write to, beside a record of this store whose key is the one that is wanted, and when its
sha256 is the one in that record. The bytes that are hashed are the bytes that are opened.

::

    ROOT/<backend>-<place>/       one graph on one GPU and release; 16 digits of their hash
        <key>.json                the record
        <sha256>.engine
    ROOT/<backend>-<target>.timings
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_tx.cache import cache_root
from edge_tx.errors import SessionFailed
from edge_tx.runtimes.tensorrt_build import Settings
from edge_tx.runtimes.tensorrt_records import (
    SCHEMA,
    Proof,
    Record,
    Target,
    graph_hash,
    key_of,
    read_record,
)
from edge_tx.strict_json import dumps, encode

__all__ = ["Store", "default_root"]


def default_root() -> Path:
    """``engines`` in the user's folder for what can be made again (:mod:`edge_tx.cache`)."""
    return cache_root() / "engines"


class Store:
    """A folder of engines.

    Args:
        root: The folder; made when the first engine is put there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, folder: Path, target: Target, *, unproven: bool = False) -> bytes:
        """The engine last built of a graph for a target.

        Args:
            folder: The graph's.
            target: This machine.
            unproven: Takes one that was not held against the golden answers, too.

        Raises:
            SessionFailed: There is none, or it is not the one that was built.
        """
        remedy = "edge-tx build BUNDLE makes one"
        graph = graph_hash(folder)
        records = self.records(graph, target)
        if not records:
            raise SessionFailed(
                f"no engine of {folder.name} for {target.shown} in {self.root}: {remedy}"
            )
        latest = records[-1]
        if latest.proof is None and not unproven:
            raise SessionFailed(
                f"the engine of {folder.name} was not held against the golden answers on a "
                "GPU yet: edge-tx build BUNDLE does that, here"
            )
        return self.read(latest)

    def records(self, graph: str, target: Target) -> list[Record]:
        """Valid records of a graph for a target, the last built at the end.

        Raises:
            SessionFailed: Others may write to the folder.
        """
        place = self._place(graph, target)
        if not place.is_dir():
            return []
        _must_be_private(self.root)
        _must_be_private(place)
        found = (read_record(path) for path in place.glob("*.json"))
        mine = [r for r in found if r is not None and (r.graph, r.target) == (graph, target)]
        return sorted(mine, key=lambda record: record.built_ns)

    def find(self, graph: str, target: Target, settings: Settings) -> Record | None:
        """The record of one engine, if the engine is there and undamaged."""
        key = key_of(graph, target, settings)
        for record in self.records(graph, target):
            if record.key == key:
                try:
                    self.read(record)
                except SessionFailed:
                    return None
                return record
        return None

    def read(self, record: Record) -> bytes:
        """Reads an engine.

        Raises:
            SessionFailed: It is missing, or its hash is not the one in the record.
        """
        path = self.path(record)
        try:
            plan = path.read_bytes()
        except OSError as exc:
            raise SessionFailed(f"cannot read the engine {path}: {exc.strerror or exc}") from exc
        if hashlib.sha256(plan).hexdigest() != record.engine:
            raise SessionFailed(
                f"{path} is not the engine that was built: its sha256 differs from its record's; "
                "edge-tx build BUNDLE makes a new one"
            )
        return plan

    def path(self, record: Record) -> Path:
        """Where an engine is."""
        return self._place(record.graph, record.target) / f"{record.engine}.engine"

    def timings(self, target: Target) -> Path:
        """The file with kernel timings of earlier builds for a target."""
        digest = hashlib.sha256(dumps(encode(target))).hexdigest()
        return self.root / f"{target.backend}-{digest[:16]}.timings"

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A private folder to build in, removed at the end.

        Raises:
            SessionFailed: It cannot be made, or others may write to the store.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _must_be_private(self.root)
            work = tempfile.TemporaryDirectory(prefix=".building-", dir=self.root)
        except OSError as exc:
            raise SessionFailed(
                f"cannot keep engines in {self.root}: {exc.strerror or exc}; "
                "give another --cache-dir"
            ) from exc
        with work as folder:
            yield Path(folder)

    def keep(
        self, engine: Path, graph: str, target: Target, settings: Settings, **facts: Any
    ) -> Record:
        """Takes a built engine in: it is moved, then its record is written, each at once.

        Args:
            engine: In the workshop.
            graph: Hash of the graph.
            target: What it is tied to.
            settings: What the user chose.
            **facts: ``seconds`` and ``built_ns`` of the record.
        """
        plan = engine.read_bytes()
        record = Record(
            schema=SCHEMA,
            key=key_of(graph, target, settings),
            graph=graph,
            target=target,
            settings=settings,
            engine=hashlib.sha256(plan).hexdigest(),
            size=len(plan),
            proof=None,
            **facts,
        )
        place = self._place(graph, target)
        place.mkdir(mode=0o700, exist_ok=True)
        _sync(engine)
        engine.replace(self.path(record))
        self._write(record)
        return record

    def proven(self, record: Record, proof: Proof) -> Record:
        """Notes that an engine gives the right answers."""
        record = replace(record, proof=proof)
        self._write(record)
        return record

    def discard(self, record: Record) -> None:
        """Removes an engine and its record."""
        self._record_path(record).unlink(missing_ok=True)
        self.path(record).unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        path = self._record_path(record)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.write_bytes(dumps(encode(record)))
        _sync(new)
        new.replace(path)

    def _record_path(self, record: Record) -> Path:
        return self._place(record.graph, record.target) / f"{record.key}.json"

    def _place(self, graph: str, target: Target) -> Path:
        digest = hashlib.sha256(dumps({"graph": graph, "target": encode(target)})).hexdigest()
        return self.root / f"{target.backend}-{digest[:16]}"


def _must_be_private(folder: Path) -> None:
    if os.name == "nt":  # its access lists are not read; a profile's folders are private
        return
    info = folder.stat()
    if info.st_uid not in (os.getuid(), 0) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SessionFailed(
            f"others may write to {folder}, so engines there cannot be trusted: "
            f"chmod go-w {folder}, or give another --cache-dir"
        )


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
