"""What heads and neurons cost on this device, through a backend's own session.

Models of one layer are exported with fewer and fewer heads, and with fewer and fewer neurons, and
timed in turns. What the table says between two sizes is on the line between them, and a smaller
size never costs more than a larger one: where nothing is saved, nothing is worth removing.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edge_tx.backends import Backend, Session, SessionConfig, open_session, resolve
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.calibration.pruning_encoder import Encoder

__all__ = ["LatencyTable", "export_graph", "latency_table"]

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_ROUNDS = 15
_WARM = 3
_MULTIPLE = 16


@dataclass(frozen=True)
class LatencyTable:
    """Times of one call on one row.

    Attributes:
        backend: That measured them.
        seq: Tokens of the row.
        total_ns: Of the whole model.
        layer_ns: Of a whole layer.
        points: By kind of sublayer: numbers of units, and what they take in each layer more
            than the fewest of them.
    """

    backend: str
    seq: int
    total_ns: float
    layer_ns: float
    points: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]

    def cost(self, kind: str, units: int) -> float:
        """Nanoseconds of a sublayer, more than with the fewest units that were measured."""
        counts, times = self.points[kind]
        return float(np.interp(units, counts, times))


def latency_table(
    traced: Traced, backend: Backend, seq: int, threads: int
) -> LatencyTable:
    """Measures a model's layers.

    Args:
        traced: The model.
        backend: To measure with.
        seq: Tokens of the row.
        threads: CPU threads.

    Raises:
        ExportFailed: The backend's exporter failed.
        SessionFailed: Its runtime failed.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sizes = list(_sizes(traced))
        graphs = [traced, *(model for _, _, model in sizes)]
        sessions = []
        for number, model in enumerate(graphs):
            place = Path(folder) / str(number)
            place.mkdir()
            entry = export_graph(model, backend, place).entry
            session = open_session(backend.name, entry, SessionConfig(threads=threads))
            stack.callback(session.close)
            sessions.append(session)
        total, *times = _in_turns(sessions, _feeds(sessions[0], seq))
    points = {}
    for kind in ("attention", "ffn"):
        mine = sorted((u, t) for (k, u, _), t in zip(sizes, times, strict=True) if k == kind)
        points[kind] = _rising(mine)
    layers = _count(traced)
    layer = (total - max(times)) / (layers - 1) if layers > 1 else total
    return LatencyTable(backend.name, seq, total, max(layer, 0.0), points)


def export_graph(traced: Traced, backend: Backend, folder: Path) -> Exported:
    """Exports a model by a backend's own exporter, without a gate."""
    return cast(Exported, resolve(backend.exporter)(traced, folder, ExportOptions()))


def _sizes(traced: Traced) -> Iterator[tuple[str, int, Traced]]:
    """Kind of what is smaller, number of units, and a model of one layer of that size."""
    from edge_tx.calibration.pruning_encoder import ATTENTION, FFN, Encoder, Key

    whole = Encoder(traced.module.transformer)
    for kind in (ATTENTION, FFN):
        most = max(whole.units(Key(i, kind)) for i in range(len(whole.layers)))
        unit = 1 if kind == ATTENTION else min(_MULTIPLE, most)
        for units in sorted({max(unit, round(most * s / unit) * unit) for s in _SHARES}):
            module = copy.deepcopy(traced.module)
            encoder = Encoder(module.transformer)
            encoder.keep_layers([_largest(whole, kind)])
            encoder.keep(Key(0, kind), range(min(units, most)))
            yield kind, min(units, most), replace(traced, module=module)


def _count(traced: Traced) -> int:
    from edge_tx.calibration.pruning_encoder import Encoder

    return len(Encoder(traced.module.transformer).layers)


def _largest(encoder: Encoder, kind: str) -> int:
    from edge_tx.calibration.pruning_encoder import Key

    if encoder.layout.first_differs:
        return 0
    return max(range(len(encoder.layers)), key=lambda i: encoder.units(Key(i, kind)))


def _feeds(session: Session, seq: int) -> Mapping[str, Array]:
    ones = np.ones((1, seq), np.int64)
    return {spec.name: ones if "mask" in spec.name else ones * 0 for spec in session.inputs}


def _in_turns(sessions: Sequence[Session], feeds: Mapping[str, Array]) -> list[float]:
    """Median time of a call of each, in nanoseconds."""
    samples: list[list[int]] = [[] for _ in sessions]
    for turn in range(_WARM + _ROUNDS):
        for session, times in zip(sessions, samples, strict=True):
            session.run(feeds)  # brings its weights into the caches
            start = time.perf_counter_ns()
            session.run(feeds)
            if turn >= _WARM:
                times.append(time.perf_counter_ns() - start)
    return [float(statistics.median(times)) for times in samples]


def _rising(points: Sequence[tuple[int, float]]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Times over the least; a smaller size takes no longer than a larger one."""
    counts = tuple(units for units, _ in points)
    times = np.minimum.accumulate(np.array([time for _, time in points])[::-1])[::-1]
    return counts, tuple(float(time) for time in times - times[0])
