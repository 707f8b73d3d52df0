"""What is known of a built engine, and what it is tied to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_tx.errors import SessionFailed
from edge_tx.runtimes.tensorrt_build import Settings
from edge_tx.strict_json import Reader, dumps, encode, loads

__all__ = ["SCHEMA", "Proof", "Record", "Target", "graph_hash", "key_of", "read_record"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Target:
    """What an engine is tied to.

    Attributes:
        backend: Name of the row whose module built it.
        version: Of TensorRT, exactly.
        compute_capability: E.g. 87 for 8.7.
        platform: E.g. ``"linux-aarch64"``.
        gpu: Name of the GPU; empty where any of its generation will do.
        driver: CUDA version of the driver; empty likewise.
    """

    backend: str
    version: str
    compute_capability: int
    platform: str
    gpu: str = ""
    driver: str = ""

    @property
    def shown(self) -> str:
        """In words, for messages."""
        what = self.gpu or f"sm_{self.compute_capability}"
        return f"{what} by {self.backend} {self.version}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came out of holding an engine against the golden answers, on its GPU.

    Attributes:
        cases: Count of cases.
        max_abs_error: Largest difference of an element.
        min_cosine: Smallest cosine of an output.
        agreement: Share of cases with the same decoded answer.
    """

    cases: int
    max_abs_error: float
    min_cosine: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an engine.

    Attributes:
        schema: Version of this format.
        key: Hash over graph, target and settings.
        graph: Hash over the graph's files, its profiles among them.
        target: What it is tied to.
        settings: What the user chose.
        engine: sha256 of the engine.
        size: Bytes of the engine.
        seconds: That the build took.
        built_ns: When, in nanoseconds of UTC since 1970.
        proof: Against the golden answers; None if that was not done yet.
    """

    schema: int
    key: str
    graph: str
    target: Target
    settings: Settings
    engine: str
    size: int
    seconds: float
    built_ns: int
    proof: Proof | None


def graph_hash(folder: Path) -> str:
    """Hash over the names and contents of a graph's files.

    Raises:
        SessionFailed: They cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    except OSError as exc:
        raise SessionFailed(f"cannot read the graph in {folder}: {exc.strerror or exc}") from exc
    return digest.hexdigest()


def key_of(graph: str, target: Target, settings: Settings) -> str:
    """Hash over all that an engine depends on."""
    whole = {"graph": graph, "target": encode(target), "settings": encode(settings)}
    return hashlib.sha256(dumps(whole)).hexdigest()


def read_record(path: Path) -> Record | None:
    """A record, or None if it is none of ours: then its engine is built anew."""
    try:
        plain = loads(path.read_bytes(), path.name, SessionFailed)
        record = Reader(path.name, SessionFailed).read(Record, plain)
    except (OSError, SessionFailed):
        return None
    key = key_of(record.graph, record.target, record.settings)
    ours = record.schema == SCHEMA and record.key == key and path.stem == key
    return record if ours and _is_sha256(record.engine) else None


def _is_sha256(text: str) -> bool:
    """Whether it can be a part of a path without leading elsewhere."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
