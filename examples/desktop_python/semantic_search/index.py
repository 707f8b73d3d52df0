"""The index: passages, their vectors, and the stamp of the model that made them."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .passages import Passage

__all__ = ["FileState", "Hit", "Index", "IndexDamaged", "Part", "read", "write"]

FORMAT = 1
_NOTHING = np.empty((0, 0), np.float32)


class IndexDamaged(Exception):
    """The index on disk cannot be read; it must be built anew."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file changed.

    Attributes:
        size: Bytes.
        mtime_ns: Time of its last modification.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Looks at a file."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        passage: Where it stands and what it says.
        score: Cosine to the query.
    """

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Passages and their vectors.

    Attributes:
        passages: The passages.
        vectors: ``float32[passages, dim]``.
    """

    passages: Sequence[Passage]
    vectors: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """A folder's passages, ready to be searched.

    Attributes:
        stamp: Of the model that made the vectors; see :func:`edge_tx.same_space`.
        files: State of each file when it was read, by its path from the folder.
        passages: All passages, file by file.
        vectors: ``float32[passages, dim]``, each of length 1.
    """

    stamp: str
    files: Mapping[str, FileState]
    passages: tuple[Passage, ...]
    vectors: npt.NDArray[np.float32]

    def search(self, query: npt.NDArray[np.float32], top: int = 20) -> list[Hit]:
        """The passages nearest in meaning.

        Args:
            query: ``float32[dim]``, of the model with this index's stamp.
            top: Most passages to return.

        Returns:
            The best first.
        """
        if not self.passages:
            return []
        scores = self.vectors @ _unit(query)
        best = np.argsort(-scores, kind="stable")[:top]
        return [Hit(self.passages[i], float(scores[i])) for i in best]

    @classmethod
    def of(cls, stamp: str, files: Mapping[str, FileState], parts: Iterable[Part]) -> Index:
        """An index of vectors of any length: they are scaled to 1 here, once."""
        full = [part for part in parts if part.passages]
        passages = tuple(passage for part in full for passage in part.passages)
        vectors = np.concatenate([part.vectors for part in full]) if full else _NOTHING
        return cls(stamp, files, passages, _unit(vectors))

    def part(self, files: AbstractSet[str]) -> Part:
        """The passages of some of the files."""
        rows = [i for i, passage in enumerate(self.passages) if passage.file in files]
        return Part([self.passages[i] for i in rows], self.vectors[rows])


def write(index: Index, path: Path) -> None:
    """Writes an index to disk: whoever is interrupted leaves the old one."""
    meta = {
        "format": FORMAT,
        "stamp": index.stamp,
        "files": {name: asdict(state) for name, state in index.files.items()},
        "passages": [[p.file, p.line, p.text] for p in index.passages],
    }
    data = io.BytesIO()
    text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(data, vectors=index.vectors, meta=text)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        work.write_bytes(data.getvalue())
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def read(path: Path) -> Index:
    """Reads an index from disk.

    Raises:
        FileNotFoundError: There is none.
        IndexDamaged: It is not one, or one of another version of this app.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            vectors = arrays["vectors"]
            meta = json.loads(arrays["meta"].tobytes())
        return _index(meta, vectors)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as exc:
        raise IndexDamaged(f"{path} is not an index: {exc}") from exc


def _index(meta: Any, vectors: npt.NDArray[np.float32]) -> Index:
    if meta["format"] != FORMAT:
        raise ValueError(f"format {meta['format']}, not {FORMAT}")
    rows = meta["passages"]
    passages = tuple(Passage(str(file), int(line), str(text)) for file, line, text in rows)
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(passages):
        raise ValueError(f"{len(passages)} passages and {vectors.dtype}{list(vectors.shape)}")
    files = {name: FileState(**state) for name, state in meta["files"].items()}
    return Index(str(meta["stamp"]), files, passages, vectors)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
