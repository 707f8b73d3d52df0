"""One cell of a benchmark, in a process of its own: ``python -m edge_tx.bench.cell``.

Reads a :class:`Cell` as JSON from stdin, writes a :class:`Measured` as JSON to stdout. The
parent never measures: its own imports, allocations and threads would be in the numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any

__all__ = ["Cell", "Measured", "measure"]

_BLOCK = 10
_STEADY = 0.05
_MOST_WARM_UP = 30


@dataclass(frozen=True, slots=True)
class Cell:
    """What to measure.

    Attributes:
        bundle: Path of the bundle.
        graph: Name of the graph.
        device: Device to open it on.
        threads: CPU threads.
        inputs: Inputs of the task; the first is timed alone, all of them as a list.
        options: The task's options.
        vendor: The vendor's own settings.
        min_calls: Single calls to time at least.
        min_ns: Time to spend at least on single calls, and on lists.
        also: More inputs that are timed alone, each as long as the first.
    """

    bundle: str
    graph: str
    device: str
    threads: int
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    vendor: dict[str, str] = field(default_factory=dict)
    min_calls: int = 50
    min_ns: int = 1_000_000_000
    also: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        load_ns: From the first import of edge_tx to a model that is ready.
        first_ns: The first answer after that, cold.
        warm_up_calls: Calls before the timing became steady.
        samples_ns: Every timed single call.
        also_ns: The same for each input of ``also``.
        list_inputs: Inputs answered in lists.
        list_ns: Time that took.
        list_cpu_ns: CPU time that took, over all threads.
        loaded_rss_bytes: Peak resident memory after loading; None where it cannot be read.
        peak_rss_bytes: Peak resident memory of the whole run; None where it cannot be read.
        placement: Where it ran, as the vendor's runtime says.
    """

    load_ns: int
    first_ns: int
    warm_up_calls: int
    samples_ns: tuple[int, ...]
    also_ns: tuple[tuple[int, ...], ...]
    list_inputs: int
    list_ns: int
    list_cpu_ns: int
    loaded_rss_bytes: int | None
    peak_rss_bytes: int | None
    placement: dict[str, Any]


def measure(cell: Cell) -> Measured:
    """Loads the graph in this process and measures it.

    Warm-up ends when the median of ten calls is within 5 % of that of the ten before, and
    after 300 calls at the latest.

    Raises:
        EdgeTxError: The graph cannot be loaded or run.
    """
    start = perf_counter_ns()
    from edge_tx.runtimes.loading import load
    from edge_tx.stats import MemoryStats

    model = load(
        cell.bundle,
        graph=cell.graph,
        device=cell.device,
        threads=cell.threads,
        options=cell.vendor,
    )
    load_ns = perf_counter_ns() - start
    loaded = MemoryStats.read().peak_rss_bytes

    def calls(value: Any) -> Callable[[], object]:
        return lambda: model(value, **cell.options)

    call = calls(cell.inputs[0])
    first_ns = _timed(call)
    warm_up = _warm_up(call)
    samples = _repeat(call, cell.min_calls, cell.min_ns)
    also = tuple(_steady(calls(value), cell) for value in cell.also)
    model(list(cell.inputs), **cell.options)  # opens the streams
    cpu = process_time_ns()
    lists = _repeat(lambda: model(list(cell.inputs), **cell.options), 1, cell.min_ns)
    cpu = process_time_ns() - cpu
    measured = Measured(
        load_ns=load_ns,
        first_ns=first_ns,
        warm_up_calls=warm_up,
        samples_ns=tuple(samples),
        also_ns=also,
        list_inputs=len(lists) * len(cell.inputs),
        list_ns=sum(lists),
        list_cpu_ns=cpu,
        loaded_rss_bytes=loaded,
        peak_rss_bytes=MemoryStats.read().peak_rss_bytes,
        placement=asdict(model.describe().placement),
    )
    model.close()
    return measured


def _timed(call: Callable[[], object]) -> int:
    start = perf_counter_ns()
    call()
    return perf_counter_ns() - start


def _repeat(call: Callable[[], object], calls: int, least_ns: int) -> list[int]:
    samples: list[int] = []
    spent = 0
    while len(samples) < calls or spent < least_ns:
        samples.append(_timed(call))
        spent += samples[-1]
    return samples


def _warm_up(call: Callable[[], object]) -> int:
    before = _block(call)
    for blocks in range(2, _MOST_WARM_UP + 1):
        now = _block(call)
        if abs(median(now) - median(before)) <= _STEADY * median(before):
            return blocks * _BLOCK
        before = now
    return _MOST_WARM_UP * _BLOCK


def _steady(call: Callable[[], object], cell: Cell) -> tuple[int, ...]:
    _warm_up(call)
    return tuple(_repeat(call, cell.min_calls, cell.min_ns))


def _block(call: Callable[[], object]) -> Sequence[int]:
    return [_timed(call) for _ in range(_BLOCK)]


def main() -> None:
    """Measures the cell on stdin; an error of ours becomes ``{"error": ...}``."""
    import warnings

    from edge_tx.errors import EdgeTxError, TruncationWarning

    warnings.simplefilter("ignore", TruncationWarning)
    raw = json.load(sys.stdin)
    texts = {key: tuple(_input(i) for i in raw[key]) for key in ("inputs", "also")}
    cell = Cell(**{**raw, **texts})
    try:
        answer: dict[str, Any] = asdict(measure(cell))
    except EdgeTxError as exc:
        answer = {"error": str(exc)}
    json.dump(answer, sys.stdout)


def _input(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
