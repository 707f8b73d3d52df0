"""What heads and neurons cost on this device, through a backend's own session.

Models of one layer are exported with fewer and fewer heads, and with fewer and fewer neurons, and
timed in turns. What the table says between two sizes is on the line between them, and a smaller
size never costs more than a larger one: where nothing is saved, nothing is worth removing.

Imports torch: reach it from inside functions only.
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
from typing import cast

import numpy as np

from edge_tx.backends import Backend, Session, SessionConfig, open_session, resolve
from edge_tx.calibration.pruning_encoder import ATTENTION, FFN, Encoder, Key
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.tensors import Array

__all__ = ["LatencyTable", "export_graph", "latency_table"]

_SHARES = (0.0, 1 / 3, 2 / 3)
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
        if units > counts[-1]:  # layers may differ, and the first is the one that was measured
            return times[-1] * (units - counts[0]) / (counts[-1] - counts[0])
        return float(np.interp(units, counts, times))


def latency_table(traced: Traced, backend: Backend, seq: int, threads: int) -> LatencyTable:
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
    whole = Encoder(traced.module.transformer)
    sizes = list(_sizes(whole))
    models = [traced, *(_one_layer(traced, kind, units) for kind, units in sizes)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sessions = []
        for number, model in enumerate(models):
            place = Path(folder) / str(number)
            place.mkdir()
            entry = export_graph(model, backend, place).entry
            session = open_session(backend.name, entry, SessionConfig(threads=threads))
            stack.callback(session.close)
            sessions.append(session)
        total, full, *times = _in_turns(sessions, _feeds(sessions[0], seq))
    points = {}
    for kind in (ATTENTION, FFN):
        mine = [(u, t) for (k, u), t in zip(sizes[1:], times, strict=True) if k == kind]
        points[kind] = _rising([*mine, (_most(whole, kind), full)])
    layers = len(whole.layers)
    layer = (total - full) / (layers - 1) if layers > 1 else total
    return LatencyTable(backend.name, seq, total, max(layer, 0.0), points)


def export_graph(traced: Traced, backend: Backend, folder: Path) -> Exported:
    """Exports a model by a backend's own exporter, without a gate."""
    return cast(Exported, resolve(backend.exporter)(traced, folder, ExportOptions()))


def _sizes(whole: Encoder) -> Iterator[tuple[str, int]]:
    """The full layer, then with how many heads or neurons it is measured."""
    yield ATTENTION, _most(whole, ATTENTION)
    for kind, unit in ((ATTENTION, 1), (FFN, _MULTIPLE)):
        most = _most(whole, kind)
        counts = {max(unit, round(most * share / unit) * unit) for share in _SHARES}
        yield from ((kind, count) for count in sorted(counts) if count < most)


def _one_layer(traced: Traced, kind: str, units: int) -> Traced:
    """The model with its first layer alone, which has so many heads or neurons."""
    module = copy.deepcopy(traced.module)
    encoder = Encoder(module.transformer)
    encoder.keep_layers([0])
    encoder.keep(Key(0, kind), range(units))
    return replace(traced, module=module)


def _most(encoder: Encoder, kind: str) -> int:
    return encoder.units(Key(0, kind))


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
