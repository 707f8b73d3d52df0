"""One cell of a benchmark, in a process of its own: ``python -m edge_tx.bench.cell``.

Reads a :class:`Cell` as JSON from stdin, writes a
:class:`~edge_tx.bench.measured.Measured` as JSON to stdout. The
parent never measures: its own imports, allocations and threads would be in the numbers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from time import perf_counter_ns, process_time_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Nothing of edge_tx is imported here but within functions: what was imported before the
    # model is loaded would be missing from its load time.
    from edge_tx.bench.clock import Call
    from edge_tx.bench.measured import Measured
    from edge_tx.report import Energy, Phases, Stretch
    from edge_tx.runtimes.model import Model

__all__ = ["Cell", "Scoring", "Trial", "measure"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Accuracy to measure.

    Attributes:
        data: A file of rows.
        metrics: Names of metrics.
    """

    data: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario of MLPerf to run; see :mod:`edge_tx.bench.scenarios`.

    Attributes:
        name: Of the scenario.
        rate: Queries per second that arrive; of Server alone.
        seed: Of the arrivals.
        driver: ``"edge_tx"`` or ``"loadgen"``.
    """

    name: str
    rate: float = 0.0
    seed: int = 0
    driver: str = "edge_tx"


@dataclass(frozen=True, slots=True)
class Cell:
    """What to measure.

    Attributes:
        bundle: Path of the bundle.
        graph: Name of the graph; of a reference's, the graph whose tokenizer and task it shares.
        device: Device to open it on.
        threads: CPU threads.
        inputs: Inputs of the task.
        options: The task's options.
        vendor: The vendor's own settings.
        min_calls: Calls to time at least.
        min_ns: Time to spend at least on calls, and again on lists.
        timed: How many of the inputs, from the first, are timed in turn; 0 for all.
        batch: Inputs of one call.
        list_inputs: Inputs of the long list that throughput is measured on; 0 for none.
        also: More inputs that are timed alone, each as long as the first.
        phases: Whether to tell where the time goes.
        cpus: Numbers of the hardware threads to bind the process to; empty not to.
        floor: The fastest that these were in cells before.
        max_memory_bytes: Private memory that the process may have; 0 for no limit.
        reference: Name of what is measured in the graph's place, see
            :mod:`edge_tx.bench.reference`; empty for the graph.
        checkpoint: What the reference opens.
        scoring: Accuracy to measure; None for none.
        trials: Scenarios to run.
        sustain_ns: Time to go on calling, for latency over time; 0 not to.
    """

    bundle: str
    graph: str
    device: str
    threads: int
    inputs: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    vendor: Mapping[str, str] = field(default_factory=dict)
    min_calls: int = 50
    min_ns: int = 1_000_000_000
    timed: int = 0
    batch: int = 1
    list_inputs: int = 0
    also: tuple[Any, ...] = ()
    phases: bool = False
    cpus: tuple[int, ...] = ()
    floor: Stretch | None = None
    max_memory_bytes: int = 0
    reference: str = ""
    checkpoint: str = ""
    scoring: Scoring | None = None
    trials: tuple[Trial, ...] = ()
    sustain_ns: int = 0


def measure(cell: Cell) -> Measured:
    """Loads the graph in this process and measures it; :mod:`edge_tx.bench.clock` says how.

    Raises:
        EdgeTxError: The graph cannot be loaded or run.
    """
    cpus = _bind(cell.cpus)
    start = perf_counter_ns()
    model = _open(cell)
    load_ns = perf_counter_ns() - start
    from edge_tx.bench import budget, clock, memory, scenarios, stretches, sustain
    from edge_tx.bench.measured import Measured
    from edge_tx.bench.probe import Probe
    from edge_tx.stats import MemoryStats

    loaded = MemoryStats.read().rss_bytes
    calls = list(_calls(model, cell))
    first_ns = clock.timed(calls[0])
    warm = clock.warm_up(calls[0])
    clock.passes(calls, 1, 0)  # every shape once
    timed = stretches.run(calls, cell.min_calls, cell.min_ns, Probe.of(cell.cpus), cell.floor)
    also = tuple(_steady(_call(model, value, cell), cell) for value in cell.also)
    lists, list_cpu = _lists(model, cell)
    used = memory.measure(loaded)
    measured = Measured(
        load_ns=load_ns,
        first_ns=first_ns,
        warm_up_calls=warm.calls,
        steady=warm.steady,
        inputs=len(calls),
        samples_ns=tuple(timed.samples_ns),
        stretches=tuple(timed.stretches),
        cpu_ns=timed.cpu_ns,
        also_ns=also,
        list_inputs=len(lists) * cell.list_inputs,
        list_ns=sum(lists),
        list_cpu_ns=list_cpu,
        memory=used,
        budget=budget.read_back(model, cpus, timed.cpu_ns / max(sum(timed.samples_ns), 1)),
        placement=asdict(model.describe().placement),
        phases=_phases(model, cell) if cell.phases else None,
        energy=_energy(calls, cell),
        scenarios=tuple(scenarios.run(trial, model, cell) for trial in cell.trials),
        sustained=sustain.run(calls, cell.sustain_ns) if cell.sustain_ns else (),
        # Last, as it opens a session of its own.
        accuracy=_accuracy(model, cell) if cell.scoring else {},
    )
    model.close()
    return measured


def _open(cell: Cell) -> Model:
    if cell.reference:
        from edge_tx.bench.reference import load_reference

        return load_reference(cell)
    from edge_tx.runtimes.loading import load

    return load(
        cell.bundle,
        graph=cell.graph,
        device=cell.device,
        threads=cell.threads,
        options=cell.vendor,
    )


def _bind(cpus: Sequence[int]) -> int | None:
    """Binds this process, before it starts a thread; returns how many it is then bound to."""
    if not cpus or not hasattr(os, "sched_setaffinity"):
        return None
    os.sched_setaffinity(0, cpus)
    return len(os.sched_getaffinity(0))


def _calls(model: Model, cell: Cell) -> Iterator[Call]:
    """One call for each batch of the timed inputs; the last is filled up from the first."""
    timed = cell.inputs[: cell.timed or None]
    for start in range(0, len(timed), cell.batch):
        group = list(islice(cycle(timed), start, start + cell.batch))
        yield _call(model, group[0] if cell.batch == 1 else group, cell)


def _call(model: Model, value: Any, cell: Cell) -> Call:
    return lambda: model(value, **cell.options)


def _steady(call: Call, cell: Cell) -> tuple[int, ...]:
    from edge_tx.bench import clock

    clock.warm_up(call)
    return tuple(clock.until(call, cell.min_calls, cell.min_ns))


def _lists(model: Model, cell: Cell) -> tuple[Sequence[int], int]:
    """Times of a long list, and their CPU time."""
    from edge_tx.bench import clock

    if not cell.list_inputs:
        return (), 0
    whole = list(islice(cycle(cell.inputs), cell.list_inputs))
    model(whole, **cell.options)  # opens the streams
    cpu = process_time_ns()
    lists = clock.until(lambda: model(whole, **cell.options), 1, cell.min_ns)
    return lists, process_time_ns() - cpu


def _energy(calls: Sequence[Call], cell: Cell) -> Energy | None:
    """Of calls of their own, without looks at the processor in between."""
    from edge_tx.bench import clock
    from edge_tx.bench.energy import Meter, why_not

    if why_not():
        return None
    meter = Meter()
    meter.start()
    samples = clock.passes(calls, cell.min_calls, cell.min_ns)
    return meter.stop(len(samples) * cell.batch)


def _phases(model: Model, cell: Cell) -> Phases:
    from edge_tx.bench import clock
    from edge_tx.report import Phases
    from edge_tx.runtimes.phases import PhaseClock
    from edge_tx.stats import LatencyStats

    inner = PhaseClock()
    taken: list[tuple[int, int, int]] = []
    calls = list(_calls(model.timed(inner), cell))
    for call in calls:
        call()
    inner.take()

    def noted(call: Call) -> Call:
        def both() -> None:
            call()
            taken.append(inner.take())

        return both

    clock.passes([noted(call) for call in calls], cell.min_calls, cell.min_ns // 4)
    columns = zip(*taken, strict=True)
    return Phases(*(LatencyStats.of([max(0, ns) for ns in column]) for column in columns))


def _accuracy(model: Model, cell: Cell) -> Mapping[str, float]:
    """By the code of ``edge-tx eval``."""
    from edge_tx.bench.accuracy import scores

    return scores(model, cell)


def main() -> None:
    """Measures the cell on stdin; what fails becomes ``{"error": ..., "failure": ...}``."""
    # What vendors write to stdout must not mix with the answer.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer = _answer(json.load(sys.stdin))
    with out:
        json.dump(answer, out)


def _answer(raw: dict[str, Any]) -> dict[str, Any]:
    import warnings

    from edge_tx.errors import EdgeTxError, TruncationWarning

    warnings.simplefilter("ignore", TruncationWarning)
    cell = _cell(raw)
    _limit(cell.max_memory_bytes)
    try:
        return asdict(measure(cell))
    except (MemoryError, EdgeTxError) as exc:
        from edge_tx.bench.failures import answer_of, failed, ran_out_of_memory

        kind = "out-of-memory" if ran_out_of_memory(exc) else ""
        return answer_of(failed(str(exc) or "no more memory", cell.max_memory_bytes, kind))


def _cell(raw: dict[str, Any]) -> Cell:
    nested: dict[str, Callable[[Any], Any]] = {
        "inputs": lambda values: tuple(map(_input, values)),
        "also": lambda values: tuple(map(_input, values)),
        "floor": lambda value: value and _stretch(value),
        "scoring": lambda value: value and Scoring(value["data"], tuple(value["metrics"])),
        "trials": lambda values: tuple(Trial(**value) for value in values),
    }
    return Cell(**{k: nested[k](v) if k in nested else v for k, v in raw.items()})


def _stretch(raw: Mapping[str, Any]) -> Stretch:
    from edge_tx.report import Stretch

    return Stretch(raw["calls"], tuple(raw["loops_ns"]), tuple(raw["handovers_ns"]))


def _input(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _limit(max_memory_bytes: int) -> None:
    """Limits private memory. Not the address space: runtimes reserve far more than they use."""
    if max_memory_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))


if __name__ == "__main__":
    main()
