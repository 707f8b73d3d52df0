"""The app without its window: opens the model, keeps the index, answers queries.

Every method may be called from any thread; the window calls them from workers of its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import edge_tx

from . import index as store
from .index import Hit, Index, IndexDamaged
from .indexer import Outcome, Progress, refresh

__all__ = ["Engine", "Found", "Refreshed"]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What indexing a folder came to.

    Attributes:
        outcome: What was done.
        note: What the user should know beside it; empty if nothing.
    """

    outcome: Outcome
    note: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a query came to.

    Attributes:
        hits: The best first.
        unread: Tokens of the query that the model did not read, as it was too long.
    """

    hits: Sequence[Hit] = ()
    unread: int = 0


class Engine:
    """A model, and the index of one folder at a time.

    Args:
        bundle: A bundle of a sentence embedding model.
        store_folder: Where indexes are kept, one file per folder of texts.
    """

    def __init__(self, bundle: Path, store_folder: Path) -> None:
        self._model = edge_tx.load(bundle)
        if self._model.task != "sentence-embedding":
            task = self._model.task
            self._model.close()
            raise edge_tx.EdgeTxError(
                f"{bundle} is a '{task}' model; searching by meaning needs 'sentence-embedding'"
            )
        self._store_folder = store_folder
        self._lock = threading.Lock()  # two refreshes at once would write one file
        self._index: Index | None = None

    @property
    def model_name(self) -> str:
        """Name of the model, and of the graph that runs."""
        described = self._model.describe()
        return f"{described.source} · {described.graph}"

    @property
    def passages(self) -> int:
        """Count of passages that can be found."""
        return len(self._index.passages) if self._index else 0

    def refresh(
        self,
        folder: Path,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Refreshed:
        """Opens a folder's index, or makes it, and brings it up to date.

        Raises:
            EdgeTxError: The model failed.
            OSError: The folder cannot be read, or the index cannot be written.
        """
        if not folder.is_dir():
            raise NotADirectoryError(f"there is no folder {folder}")
        with self._lock:
            path = self._path(folder)
            previous, note = self._open(path)
            self._index = previous  # searchable while the rest is embedded
            outcome = refresh(folder, self._model, previous, progress, cancelled)
            store.write(outcome.index, path)
            self._index = outcome.index
        return Refreshed(outcome, note)

    def search(self, query: str) -> Found:
        """The passages nearest to a query.

        Raises:
            EdgeTxError: The model failed.
        """
        index = self._index
        if index is None or not query.strip():
            return Found()
        embedded = self._model(query)
        return Found(index.search(embedded.vector), embedded.truncated)

    def close(self) -> None:
        """Frees the model."""
        self._model.close()

    def _open(self, path: Path) -> tuple[Index | None, str]:
        try:
            index = store.read(path)
        except FileNotFoundError:
            return None, ""
        except IndexDamaged:
            return None, "The index on disk was damaged and was built anew."
        if not edge_tx.same_space(index.stamp, self._model):
            return None, "The index was made by another model and was built anew."
        return index, ""

    def _path(self, folder: Path) -> Path:
        digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
        return self._store_folder / f"{digest[:32]}.npz"
