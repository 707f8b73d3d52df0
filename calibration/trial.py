"""Tries graphs for the gate: quantises, opens, measures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_tx.answering import Prepared
from edge_tx.calibration.quantizer import Feeds, Quantized, Quantizer, Work
from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.target import Target
from edge_tx.errors import InvalidConfig
from edge_tx.evaluation import Evaluation
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.backends import Session

__all__ = ["Candidate", "GraphTrial"]

Open = Callable[[Path], "Session"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quantised graph that may or may not be good enough.

    Attributes:
        folder: Holds its files and nothing else.
        quantized: What the backend's quantizer says of it.
    """

    folder: Path
    quantized: Quantized

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


class GraphTrial:
    """Makes and measures graphs of one backend and recipe; see :class:`.gate.Trial`.

    Args:
        quantizer: The backend's.
        entry: The fp32 graph's.
        fp32_bytes: Size of the fp32 graph.
        recipe: What to do.
        target: The device it is for.
        feeds: Calibration data.
        open_session: Opens a graph in its backend.
        evaluation: The metric.
        sample: A few inputs for ranking.
        scratch: An empty folder.

    Attributes:
        reads_data: Whether the quantizer has read calibration data.
    """

    def __init__(
        self,
        quantizer: Quantizer,
        entry: Path,
        fp32_bytes: int,
        recipe: Recipe,
        target: Target,
        feeds: Feeds,
        open_session: Open,
        evaluation: Evaluation,
        sample: Prepared,
        scratch: Path,
    ) -> None:
        self._quantizer = quantizer
        self._entry = entry
        self._fp32_bytes = fp32_bytes
        self._recipe = recipe
        self._target = target
        self._calibration = feeds
        self._open = open_session
        self._evaluation = evaluation
        self._sample = sample
        self._scratch = scratch
        self._made = 0
        self.reads_data = False
        self._wanted: Sequence[Array] | None = None

    def make(self, keep_float: frozenset[str]) -> Candidate:
        """Quantises, with these units in float."""
        self._made += 1
        folder = self._scratch / str(self._made)
        folder.mkdir()
        work = Work(self._entry, folder, self._recipe, self._feeds, self._target, keep_float)
        quantized = self._quantizer.quantize(work)
        if not quantized.units:
            raise InvalidConfig(f"'{self._recipe}' leaves the whole graph in float: quantise more")
        return Candidate(folder, quantized)

    def units(self, candidate: Candidate) -> Sequence[str]:
        """Those that are quantised in it."""
        return candidate.quantized.units

    def score(self, candidate: Candidate) -> float:
        """The metric, on all the data."""
        session = self._open(candidate.quantized.entry)
        try:
            return self._evaluation.score(session)
        finally:
            session.close()

    def error(self, candidate: Candidate) -> float:
        """Mean over the sample of the outputs' error, relative to their length."""
        if self._wanted is None:
            self._wanted = self._outputs(self._entry)
        got = self._outputs(candidate.quantized.entry)
        return float(np.mean([_relative(a, b) for a, b in zip(self._wanted, got, strict=True)]))

    def saved(self, candidate: Candidate) -> int:
        """Bytes that it is smaller than the fp32 graph."""
        return self._fp32_bytes - candidate.size

    def discard(self, candidate: Candidate) -> None:
        """Removes a graph's files."""
        shutil.rmtree(candidate.folder, ignore_errors=True)

    def _feeds(self) -> Iterator[Mapping[str, Array]]:
        self.reads_data = True  # for the manifest: the graph depends on the calibration data
        return self._calibration()

    def _outputs(self, entry: Path) -> list[Array]:
        session = self._open(entry)
        try:
            return [outputs for _, outputs in self._sample.answers(session)]
        finally:
            session.close()


def _relative(wanted: Array, got: Array) -> float:
    length = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(got - wanted)) / (length or 1.0)
