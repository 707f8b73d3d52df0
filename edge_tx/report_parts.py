"""What one row of a report is made of: times, memory, energy, threads, and what else went on."""

from __future__ import annotations

from dataclasses import dataclass

from edge_tx.stats import LatencyStats

__all__ = [
    "Energy",
    "Memory",
    "Phases",
    "ScenarioResult",
    "Stretch",
    "Surroundings",
    "ThreadBudget",
    "Window",
]


@dataclass(frozen=True, slots=True)
class ThreadBudget:
    """The threads of a cell as they were read back.

    Attributes:
        cpus: Hardware threads that the process was bound to; None where it cannot be bound.
        vendor: Threads that the vendor's runtime says it uses.
        process: Threads of the process, those that sleep too; None if unreadable.
        busy: CPU time per wall time of the timed calls: 1.9 is nearly two cores.
    """

    cpus: int | None
    vendor: int
    process: int | None
    busy: float


@dataclass(frozen=True, slots=True)
class Phases:
    """Where a call's time goes, from calls of their own with a clock at each seam.

    Attributes:
        tokenization: Parsing and tokenising.
        inference: Padding and the graph.
        decoding: From the graph's arrays to the task's result.
    """

    tokenization: LatencyStats
    inference: LatencyStats
    decoding: LatencyStats


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the cell's own process. None where it cannot be read.

    Attributes:
        peak_bytes: Most that was ever resident (VmHWM).
        loaded_bytes: Resident when the model was ready.
        steady_bytes: Resident after the timed calls.
        private_bytes: Of that, its own alone.
        shared_bytes: Of that, shared with other processes or mapped from unchanged files that
            others map too.
        anonymous_bytes: Of that, backed by no file.
        gpu_bytes: Most memory of a GPU (NVML); on a Jetson, of its shared one.
    """

    peak_bytes: int | None
    loaded_bytes: int | None = None
    steady_bytes: int | None = None
    private_bytes: int | None = None
    shared_bytes: int | None = None
    anonymous_bytes: int | None = None
    gpu_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of the timed calls by a real counter, of all that it counts.

    Attributes:
        counter: Its name, e.g. ``"RAPL package-0"``.
        joules: Over the timed calls.
        per_answer_joules: For one input.
    """

    counter: str
    joules: float
    per_answer_joules: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Calls that were timed without a pause, and how fast the processor was beside them.

    Attributes:
        calls: How many; one stretch after the other covers all samples.
        loops_ns: Of each hardware thread, a fixed piece of work in one of its registers: the
            slower of before and after the calls.
        handovers_ns: Of each but the first, to read what the one before has just read.
    """

    calls: int
    loops_ns: tuple[int, ...]
    handovers_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else went on while a cell ran. None where it cannot be read.

    Attributes:
        others_cpu: Cores that other processes kept busy on average.
        stolen_cpu: Cores that the hypervisor gave to other machines on average.
        load_average: Over a minute, as the cell began.
        temperature_c: The hottest thermal zone, as the cell ended.
        thermal_throttles: Times that a core was slowed down for heat.
        quota_throttles: Periods in which the control group ran out of CPU time.
    """

    others_cpu: float | None = None
    stolen_cpu: float | None = None
    load_average: float | None = None
    temperature_c: float | None = None
    thermal_throttles: int | None = None
    quota_throttles: int | None = None


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """A scenario of MLPerf Inference's rules, run once.

    Attributes:
        name: ``"SingleStream"``, ``"MultiStream"``, ``"Offline"`` or ``"Server"``.
        driver: Who issued the queries: ``"edge_tx"`` or ``"loadgen"``.
        metric: What the scenario is judged by, e.g. ``"p90 latency"``.
        unit: ``"ms"`` or ``"per second"``.
        value: The metric.
        queries: That were answered.
        samples_per_query: Inputs of one query.
        elapsed_ns: From the first query to the last answer.
        latency: Of the queries; None for Offline, which is one query.
        target_qps: Queries per second that were sent; None where the answers set the pace.
        valid: Whether the scenario's rules were met.
        note: Which rule was not.
        samples_ns: Latency of each query.
    """

    name: str
    driver: str
    metric: str
    unit: str
    value: float
    queries: int
    samples_per_query: int
    elapsed_ns: int
    latency: LatencyStats | None = None
    target_qps: float | None = None
    valid: bool = True
    note: str = ""
    samples_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a sustained run.

    Attributes:
        start_ns: Since the run began.
        latency: Of the calls that ended in it.
        temperature_c: The hottest thermal zone at its end; None if unreadable.
        frequency_mhz: Highest current frequency of a core at its end; None if unreadable.
    """

    start_ns: int
    latency: LatencyStats
    temperature_c: float | None = None
    frequency_mhz: float | None = None
