"""The speed verdict: is a quantised graph worth it on this device?"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.text import Row

__all__ = ["WORTH", "Pace", "Verdict", "compare"]

WORTH = 1.1
"""Times faster that a quantised graph must be, where size was not the goal."""

LENGTHS = (32, 128)

_BLOCKS = 12
_BLOCK_NS = 120_000_000
_WARM_NS = 150_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Two graphs at one length.

    Attributes:
        seq: Tokens of the one row.
        fp32_ns: Median time of a call.
        ns: The quantised graph's.
    """

    seq: int
    fp32_ns: int
    ns: int

    @property
    def speedup(self) -> float:
        """How many times faster the quantised graph is."""
        return self.fp32_ns / max(self.ns, 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured on this device.

    Attributes:
        paces: One for each length.
        fp32_bytes: Size of the fp32 graph.
        size_bytes: Of the quantised one.
    """

    paces: tuple[Pace, ...]
    fp32_bytes: int
    size_bytes: int

    @property
    def speedup(self) -> float:
        """Geometric mean over the lengths."""
        return math.exp(statistics.fmean(math.log(pace.speedup) for pace in self.paces))

    @property
    def worth(self) -> bool:
        """Whether it is faster by enough."""
        return self.speedup >= WORTH

    @property
    def size_ratio(self) -> float:
        """Size of the quantised graph, in sizes of the fp32 graph."""
        return self.size_bytes / max(self.fp32_bytes, 1)

    def metrics(self) -> Mapping[str, float]:
        """Numbers for the manifest: both graphs' times, in nanoseconds."""
        found = {}
        for pace in self.paces:
            found[f"latency_ns_seq{pace.seq}"] = float(pace.ns)
            found[f"latency_ns_seq{pace.seq}_fp32"] = float(pace.fp32_ns)
        return found

    def __str__(self) -> str:
        times = ", ".join(
            f"{pace.speedup:.2f} times at {pace.seq} tokens "
            f"({pace.fp32_ns / 1e6:.1f} to {pace.ns / 1e6:.1f} ms)"
            for pace in self.paces
        )
        return f"fp32's speed {times}; {self.size_ratio:.0%} of its size"


def compare(
    fp32: Session, other: Session, rows: Sequence[Row], inputs: Sequence[str], most: int
) -> tuple[Pace, ...]:
    """Times two open graphs on single rows, in turns.

    Blocks of calls alternate, so that what else the machine does meets both alike.

    Args:
        fp32: The fp32 graph.
        other: The quantised graph.
        rows: Real ones, whose tokens are used.
        inputs: Names of the graphs' inputs.
        most: Most tokens of a row.
    """
    lengths = sorted({min(length, most) for length in LENGTHS})
    return tuple(_pace(fp32, other, feeds) for feeds in _feeds(rows, inputs, lengths))


def _feeds(
    rows: Sequence[Row], inputs: Sequence[str], lengths: Sequence[int]
) -> Iterator[dict[str, Array]]:
    tokens = [token for row in rows for token in row.ids]
    for length in lengths:
        ids = np.resize(np.array(tokens, np.int64), (1, length))
        filled = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        yield {name: filled.get(name, np.zeros_like(ids)) for name in inputs}


def _pace(fp32: Session, other: Session, feeds: Mapping[str, Array]) -> Pace:
    sessions = (fp32, other)
    for session in sessions:
        _block(session, feeds, _WARM_NS)
    samples: tuple[list[int], list[int]] = ([], [])
    for turn in range(_BLOCKS):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        for which in order:
            samples[which].extend(_block(sessions[which], feeds, _BLOCK_NS))
    medians = [round(statistics.median(times)) for times in samples]
    return Pace(feeds["input_ids"].shape[1], *medians)


def _block(session: Session, feeds: Mapping[str, Array], patience_ns: int) -> list[int]:
    """Calls for so long, and two at least; the first only brings the caches back."""
    times: list[int] = []
    begun = time.perf_counter_ns()
    while len(times) < 2 or time.perf_counter_ns() - begun < patience_ns:
        start = time.perf_counter_ns()
        session.run(feeds)
        times.append(time.perf_counter_ns() - start)
    return times[1:]
