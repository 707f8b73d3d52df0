"""What a teacher answers, computed once and kept on disk for all epochs and all students.

Rows are answered in pieces of a fixed number, in batches that do not depend on the order of
training: so that an answer is the same to the last bit however often a run is killed, and a kill
loses one piece at most. Pieces are read as memory maps.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from edge_tx import swap
from edge_tx.calibration.distillation_data import Corpus
from edge_tx.calibration.distillation_rows import in_length_order
from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array, TensorSpec
from edge_tx.text import Row, collate

__all__ = ["TeacherAnswers"]

_PIECE = 2048
_BATCH = 32
_TOKENS = 4096
_SEQ = "seq"

MOST_NUMBERS = 1024
"""Per token: the scores of a whole vocabulary are not worth the disk."""


class TeacherAnswers:
    """The outputs of a teacher for rows.

    Args:
        folder: Where they are kept; made if it is not there.
        teacher: The model.
        corpus: The rows.
    """

    def __init__(self, folder: Path, teacher: Traced, corpus: Corpus) -> None:
        self._folder = folder
        self._teacher = teacher
        self._rows = corpus.rows
        said = "/".join((teacher.source.sha256, teacher.source.config, teacher.task, corpus.sha256))
        self._key = hashlib.sha256(said.encode()).hexdigest()[:16]
        sizes = [sum(_size(spec, row) for spec in teacher.outputs) for row in corpus.rows]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._maps: dict[int, Array] = {}

    @staticmethod
    def suits(teacher: Traced) -> bool:
        """Whether a teacher's outputs are small enough to be kept."""
        return all(_width(spec) <= MOST_NUMBERS for spec in teacher.outputs)

    def fill(self, progress: Callable[[int, int], None]) -> None:
        """Computes the pieces that are not there yet.

        Args:
            progress: Told how many pieces are there, and of how many.

        Raises:
            BundleError: The disk is full, or may not be written to.
        """
        pieces = range(0, len(self._rows), _PIECE)
        with swap.io_errors(f"write {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            for number, start in enumerate(pieces):
                progress(number, len(pieces))
                if not self._file(number).exists():
                    self._write(number, self._answer(start, start + _PIECE))

    def outputs(self, places: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """The teacher's outputs for a batch of rows, padded with zeros.

        Returns:
            ``float32[batch, ...]`` for each output, in order.
        """
        rows = [self._rows[place] for place in places]
        seq = max(len(row.ids) for row in rows)
        specs = self._teacher.outputs
        outs = [np.zeros((len(rows), *_shape(spec, seq)), np.float32) for spec in specs]
        for index, (place, row) in enumerate(zip(places, rows, strict=True)):
            values = self._values(place)
            for spec, out in zip(specs, outs, strict=True):
                size = _size(spec, row)
                target = row.own(out[index]) if _SEQ in spec.shape else out[index]
                target[...] = values[:size].reshape(target.shape)
                values = values[size:]
        return tuple(map(torch.from_numpy, outs))

    def _values(self, place: int) -> Array:
        number = place // _PIECE
        if number not in self._maps:
            self._maps[number] = np.load(self._file(number), mmap_mode="r", allow_pickle=False)
        first = self._starts[number * _PIECE]
        return self._maps[number][self._starts[place] - first : self._starts[place + 1] - first]

    def _answer(self, start: int, stop: int) -> Array:
        rows = self._rows[start:stop]
        parts: list[Array] = [np.empty(0)] * len(rows)
        for places in in_length_order([len(row.ids) for row in rows], _BATCH, _TOKENS):
            batch = [rows[place] for place in places]
            outs = self._teacher.reference(collate(batch, self._teacher.policy))
            for index, (place, row) in enumerate(zip(places, batch, strict=True)):
                parts[place] = _flat(self._teacher.outputs, outs, index, row)
        return np.concatenate(parts).astype(np.float32)

    def _write(self, number: int, values: Array) -> None:
        path = self._file(number)
        new = path.with_suffix(f".{os.getpid()}.tmp")
        with new.open("wb") as file:
            np.save(file, values, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def _file(self, number: int) -> Path:
        return self._folder / f"answers-{self._key}-{number:05d}.npy"


def _width(spec: TensorSpec) -> int:
    return int(np.prod([axis for axis in spec.shape if isinstance(axis, int)]))


def _size(spec: TensorSpec, row: Row) -> int:
    return _width(spec) * (len(row.ids) if _SEQ in spec.shape else 1)


def _shape(spec: TensorSpec, seq: int) -> tuple[int, ...]:
    return tuple(axis if isinstance(axis, int) else seq for axis in spec.shape[1:])


def _flat(specs: Sequence[TensorSpec], outs: Mapping[str, Array], index: int, row: Row) -> Array:
    lines = ((outs[spec.name][index], spec) for spec in specs)
    return np.concatenate(
        [np.ravel(row.own(line) if _SEQ in spec.shape else line) for line, spec in lines]
    )
