"""Reports of benchmarks: what was measured, where, and every raw sample.

The JSON is the truth; the terminal's table, CSV and other looks are derived from it
(:mod:`edge_tx.report_formats`). None is "not measurable here" or "not asked for", never an
estimate: :attr:`ReportContext.unmeasured` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidConfig
from edge_tx.manifest import Parity
from edge_tx.stats import LatencyStats
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads

__all__ = [
    "FAILURES",
    "SCHEMA",
    "STATUSES",
    "Conditions",
    "Energy",
    "Memory",
    "Noise",
    "Phases",
    "Report",
    "ReportContext",
    "ReportModel",
    "ReportRow",
    "ScenarioResult",
    "Surroundings",
    "ThreadBudget",
    "Window",
    "count_of",
]

SCHEMA = 2

STATUSES = ("ok", "failed", "skipped")

FAILURES = ("", "error", "killed", "out-of-memory", "timeout")
"""Kinds of failure of a row: nothing failed, it raised, its process died, memory, time."""


@dataclass(frozen=True, slots=True)
class ReportModel:
    """A model that was measured.

    Attributes:
        name: As rows name it; unique in a report.
        task: Name of its task.
        source: Name of the checkpoint.
        bundle: What was given: a bundle, a checkpoint's folder or a hub id.
        parameters: Of the checkpoint; 0 if unknown.
        max_length: Most tokens of an input.
    """

    name: str
    task: str
    source: str
    bundle: str
    parameters: int = 0
    max_length: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """The state of the machine at one moment. None where it cannot be read.

    Attributes:
        governor: Of the CPU's frequency, e.g. ``"performance"``; several with commas.
        turbo: Whether the CPU may go over its base frequency.
        frequency_mhz: Highest current frequency of a core.
        load_average: Runnable tasks over 1, 5 and 15 minutes.
        temperature_c: The hottest thermal zone.
        thermal_throttles: Times that a core was slowed down for heat, since boot.
        quota_throttles: Periods in which the control group ran out of CPU time.
        memory_available_bytes: What could be had without swapping.
    """

    governor: str = ""
    turbo: bool | None = None
    frequency_mhz: float | None = None
    load_average: tuple[float, ...] = ()
    temperature_c: float | None = None
    thermal_throttles: int | None = None
    quota_throttles: int | None = None
    memory_available_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """How far the same cell is from itself, measured twice or more (A/A).

    Attributes:
        cells: Cells that were measured again.
        spread: Largest difference of a cell's p50s over the smaller: 0.02 is 2 %.
        quiet: Whether the machine was still enough for its numbers to be compared.
        said: The same in one line, for people.
    """

    cells: int
    spread: float
    quiet: bool
    said: str


@dataclass(frozen=True, slots=True)
class ReportContext:
    """Where, when and how.

    Attributes:
        device: The device's ``to_dict()``.
        versions: Versions by package, edge_tx and the vendors' runtimes among them.
        created: UTC, ISO 8601.
        models: What was measured, in the order given.
        settings: What was chosen: seed, seconds, warm-up rule...
        before: The machine before the first cell.
        after: The machine after the last cell.
        noise: From cells that were measured again; None if none was.
        unmeasured: Why a quantity cannot be measured here, by its name: ``"energy"``...
        data: Accuracy's data: ``path``, ``examples``; empty if there is none.
        remarks: What a reader must know, one line each.
    """

    device: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    models: tuple[ReportModel, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Conditions = Conditions()
    after: Conditions = Conditions()
    noise: Noise | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One cell: a graph, measured in one way. None where it was not or cannot be measured.

    Attributes:
        graph: Name of the graph.
        backend: Name of its backend, or of the reference (``"torch"``).
        precision: Of the graph.
        threads: CPU threads of one call.
        batch: Inputs in one call.
        seq: Tokens in one input; 0 for real texts of mixed lengths.
        size_bytes: All files of the graph.
        model: Name of the model, one of the context's.
        device: That it was opened on, as the runtime says; ``""`` if it never was.
        provider: The vendor's own name for what executed.
        reference: Whether it is what the others are compared with, and no graph of the bundle.
        parity: Against the fp32 reference, when the graph was made.
        accuracy: Scores by metric on the context's data, measured in this cell.
        load_ns: From nothing to a model that can be called.
        first_answer_ns: The first call, cold.
        warm_up_calls: Calls before the timing was steady.
        steady: Whether it became so.
        latency: Of the warm calls, summed up from ``samples_ns``.
        phases: Where their time goes.
        throughput: Inputs per second of those calls, one after the other.
        list_throughput: Inputs per second over a long list; measured with batch 1.
        cpu_ns_per_answer: CPU time of all threads for one input of those calls.
        memory: Of the cell's process.
        energy: Of those calls.
        budget: The threads as read back.
        surroundings: What else went on.
        scenarios: Of MLPerf, those that were asked for.
        sustained: Latency over time, if asked for.
        samples_ns: Every warm call.
        repeats_ns: Every warm call of the same cell measured again, in other processes.
        note: What a reader must know.
        status: ``"ok"``, ``"failed"`` or ``"skipped"``.
        failure: What kind of failure, one of :data:`FAILURES`.
    """

    graph: str
    backend: str
    precision: str
    threads: int
    batch: int
    seq: int
    size_bytes: int
    model: str = ""
    device: str = ""
    provider: str = ""
    reference: bool = False
    parity: Parity | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    load_ns: int | None = None
    first_answer_ns: int | None = None
    warm_up_calls: int | None = None
    steady: bool | None = None
    latency: LatencyStats | None = None
    phases: Phases | None = None
    throughput: float | None = None
    list_throughput: float | None = None
    cpu_ns_per_answer: int | None = None
    memory: Memory | None = None
    energy: Energy | None = None
    budget: ThreadBudget | None = None
    surroundings: Surroundings | None = None
    scenarios: tuple[ScenarioResult, ...] = ()
    sustained: tuple[Window, ...] = ()
    samples_ns: tuple[int, ...] = ()
    repeats_ns: tuple[tuple[int, ...], ...] = ()
    note: str = ""
    status: str = "ok"
    failure: str = ""

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        """What makes a row the same cell in two reports."""
        return (self.model, self.graph, self.threads, self.batch, self.seq)

    @property
    def label(self) -> str:
        """The key in words: ``"minilm onnx-fp32, 2 threads, batch 1, 32 tokens"``."""
        return f"{self.model} {self.place}".strip()

    @property
    def place(self) -> str:
        """The same without the model."""
        length = count_of(self.seq, "token") if self.seq else "mixed lengths"
        parts = (self.graph, count_of(self.threads, "thread"), f"batch {self.batch}", length)
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Report:
    """Rows and their context.

    Attributes:
        context: Where and when.
        rows: What was measured.
        schema: Version of this format.
    """

    context: ReportContext
    rows: tuple[ReportRow, ...]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The report as JSON; nothing is lost."""
        return dumps(encode(self), indent=1).decode("utf-8")

    @classmethod
    def from_json(cls, text: str, name: str = "report") -> Report:
        """Reads a report, strictly.

        Args:
            text: JSON.
            name: Of the file, for messages.

        Raises:
            InvalidConfig: It is not a report, or one of another version; names the place.
        """
        value = loads(text.encode("utf-8", "surrogatepass"), name, InvalidConfig)
        schema = value.get("schema") if isinstance(value, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise InvalidConfig(
                f"{name}: schema {schema} is newer than this version's {SCHEMA}: "
                "pip install -U edge-tx"
            )
        if isinstance(schema, int) and schema < SCHEMA:
            raise InvalidConfig(f"{name}: schema {schema} is older than {SCHEMA}: measure again")
        return Reader(name, InvalidConfig, _RULES).read(cls, value)

    @classmethod
    def from_file(cls, path: str | Path) -> Report:
        """Reads a report's JSON file.

        Raises:
            InvalidConfig: It cannot be read, or is not a report.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = getattr(exc, "strerror", None) or "not UTF-8"
            raise InvalidConfig(f"{path}: not a report's JSON file: {reason}") from exc
        return cls.from_json(text, str(path))


def count_of(count: int, thing: str) -> str:
    """A number of things in words: ``"1 thread"``, ``"2 threads"``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _row_rule(row: ReportRow, fail: Fail) -> None:
    for name, known in (("status", STATUSES), ("failure", FAILURES)):
        if getattr(row, name) not in known:
            fail(name, f"expected one of {', '.join(known)}; got {getattr(row, name)[:80]!r}")
    for name in ("threads", "batch", "seq", "size_bytes"):
        if getattr(row, name) < 0:
            fail(name, f"expected 0 or more, got {getattr(row, name)}")
    for name in ("throughput", "list_throughput"):
        value = getattr(row, name)
        if value is not None and not 0 <= value < math.inf:
            fail(name, f"expected 0 or more, got {value}")
    for name, samples in (("samples_ns", row.samples_ns), *_numbered(row.repeats_ns)):
        if min(samples, default=0) < 0:
            fail(name, "expected no negative time")
    if row.samples_ns and row.latency != LatencyStats.of(row.samples_ns):
        fail("latency", "is not that of the samples")


def _numbered(repeats: tuple[tuple[int, ...], ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"repeats_ns[{index}]", samples) for index, samples in enumerate(repeats)]


def _scenario_rule(scenario: ScenarioResult, fail: Fail) -> None:
    if scenario.samples_ns and scenario.latency != LatencyStats.of(scenario.samples_ns):
        fail("latency", "is not that of the samples")


def _report_rule(report: Report, fail: Fail) -> None:
    if report.schema != SCHEMA:
        fail("schema", f"expected {SCHEMA}, got {report.schema}")
    keys = [row.key for row in report.rows]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            fail(f"rows[{index}]", f"is the same cell as another: {report.rows[index].label}")


_RULES: Mapping[type, Rule] = {
    Report: _report_rule,
    ReportRow: _row_rule,
    ScenarioResult: _scenario_rule,
}
