"""Bringing an index up to date with its folder: only what changed is embedded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

import edge_tx

from .index import FileState, Index, Part
from .passages import Passage, passages_of, text_files

__all__ = ["Embedder", "Outcome", "Progress", "refresh"]

BATCH = 32
"""Passages between two looks at whether the user cancelled: about a second on a slow machine."""

_Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """What the index needs of a model; :class:`edge_tx.Model` is one."""

    stamp: str

    def embed(self, texts: list[str], /) -> _Vectors:
        """``float32[texts, dim]``."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Attributes:
        done: Files whose passages are embedded.
        total: Files that are new or changed.
        file: The one at hand.
    """

    done: int
    total: int
    file: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a refresh left.

    Attributes:
        index: All files that are done; complete unless ``cancelled``.
        embedded: Files that were read and embedded now.
        cancelled: Whether it was stopped; the next refresh goes on from here.
        unreadable: Files that could not be read, and why.
    """

    index: Index
    embedded: int
    cancelled: bool
    unreadable: tuple[str, ...]


def refresh(
    folder: Path,
    model: Embedder,
    previous: Index | None,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Outcome:
    """Brings an index up to date.

    Args:
        folder: The folder of texts.
        model: What embeds them.
        previous: The index so far; one of another model is not used.
        progress: Is told how far the work is, in the caller's thread.
        cancelled: Asked often; True ends the work at the next batch.

    Raises:
        EdgeTxError: The model failed.
    """
    usable = previous if previous and edge_tx.same_space(previous.stamp, model) else None
    found = {path.relative_to(folder).as_posix(): path for path in text_files(folder)}
    states = {name: FileState.of(path) for name, path in found.items()}
    known = usable.files if usable else {}
    fresh = {name for name, state in states.items() if known.get(name) == state}
    stale = [name for name in states if name not in fresh]
    parts = [usable.part(fresh)] if usable else []
    unreadable: list[str] = []
    done: set[str] = set()
    for group in _groups(folder, stale, unreadable):
        progress(Progress(len(done), len(stale), group.files[0]))
        vectors = _embed(model, group.passages, cancelled)
        if vectors is None:
            break
        parts.append(Part(group.passages, vectors))
        done.update(group.files)
    kept = {name: state for name, state in states.items() if name in fresh | done}
    index = Index.of(model.stamp, kept, parts)
    cancelled_early = len(done) + len(unreadable) < len(stale)
    return Outcome(index, len(done), cancelled_early, tuple(unreadable))


@dataclass(slots=True)
class _Group:
    files: list[str] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)


def _groups(folder: Path, names: list[str], unreadable: list[str]) -> Iterator[_Group]:
    """Whole files, small ones together: a batch of one passage would waste the processor."""
    group = _Group()
    for name in names:
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError as exc:
            unreadable.append(f"{name}: {exc.strerror}")
            continue
        group.files.append(name)
        group.passages += passages_of(name, text)
        if len(group.passages) >= BATCH:
            yield group
            group = _Group()
    if group.files:
        yield group


def _embed(
    model: Embedder, passages: list[Passage], cancelled: Callable[[], bool]
) -> _Vectors | None:
    """The passages' vectors, or nothing if the user lost patience."""
    vectors: list[_Vectors] = []
    for start in range(0, len(passages), BATCH):
        if cancelled():
            return None
        vectors.append(model.embed([passage.text for passage in passages[start : start + BATCH]]))
    return np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
