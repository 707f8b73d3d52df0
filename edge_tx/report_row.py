"""One row of a report: a graph, measured in one way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_tx.manifest import Parity
from edge_tx.report_parts import (
    Energy,
    Memory,
    Phases,
    ScenarioResult,
    Stretch,
    Surroundings,
    ThreadBudget,
    Window,
)
from edge_tx.stats import LatencyStats
from edge_tx.strict_json import Fail, Rule

__all__ = ["FAILURES", "ROW_RULES", "STATUSES", "ReportRow", "count_of"]

STATUSES = ("ok", "failed", "skipped")

FAILURES = ("", "error", "killed", "out-of-memory", "timeout")
"""Kinds of failure of a row: nothing failed, it raised, its process died, memory, time."""


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
        latency: Of all warm calls, summed up from ``samples_ns``.
        p50_ns: Of the undisturbed ones, as :mod:`edge_tx.undisturbed` defines it, over all
            measurements of the cell.
        undisturbed: Share of the calls that were; None where that cannot be told.
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
        inputs: Calls of one pass over the inputs: sample ``i`` is of call ``i % inputs``.
        samples_ns: Every warm call.
        stretches: The same calls, stretch by stretch; empty where the processor is not watched.
        repeats_ns: Every warm call of the same cell measured again, in other processes.
        repeats_stretches: Of those.
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
    p50_ns: int | None = None
    undisturbed: float | None = None
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
    inputs: int = 1
    samples_ns: tuple[int, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    repeats_ns: tuple[tuple[int, ...], ...] = ()
    repeats_stretches: tuple[tuple[Stretch, ...], ...] = ()
    note: str = ""
    status: str = "ok"
    failure: str = ""

    @property
    def typical_ns(self) -> int | None:
        """The row's p50: of the undisturbed calls where it is known, else of all."""
        if self.p50_ns is not None or self.latency is None:
            return self.p50_ns
        return self.latency.p50_ns

    @property
    def runs(self) -> tuple[tuple[tuple[int, ...], tuple[Stretch, ...]], ...]:
        """Samples and stretches of each measurement of the cell."""
        timed = (self.samples_ns, *self.repeats_ns)
        watched = (self.stretches, *self.repeats_stretches)
        unwatched: tuple[tuple[Stretch, ...], ...] = ((),) * (len(timed) - len(watched))
        return tuple(zip(timed, (*watched, *unwatched), strict=True))

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


def count_of(count: int, thing: str) -> str:
    """A number of things in words: ``"1 thread"``, ``"2 threads"``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _row_rule(row: ReportRow, fail: Fail) -> None:
    for name, known in (("status", STATUSES), ("failure", FAILURES)):
        if getattr(row, name) not in known:
            fail(name, f"expected one of {', '.join(known)}; got {getattr(row, name)[:80]!r}")
    for name, least in (("threads", 0), ("batch", 0), ("seq", 0), ("size_bytes", 0), ("inputs", 1)):
        if getattr(row, name) < least:
            fail(name, f"expected {least} or more, got {getattr(row, name)}")
    for name in ("throughput", "list_throughput"):
        value = getattr(row, name)
        if value is not None and not 0 <= value < math.inf:
            fail(name, f"expected 0 or more, got {value}")
    _samples_rule(row, fail)


def _samples_rule(row: ReportRow, fail: Fail) -> None:
    for name, samples in (("samples_ns", row.samples_ns), *_numbered(row.repeats_ns)):
        if min(samples, default=0) < 0:
            fail(name, "expected no negative time")
    if row.samples_ns and row.latency != LatencyStats.of(row.samples_ns):
        fail("latency", "is not that of the samples")
    if len(row.repeats_stretches) not in (0, len(row.repeats_ns)):
        fail("repeats_stretches", "are not as many as the repeats")
    if any(watched and sum(s.calls for s in watched) != len(timed) for timed, watched in row.runs):
        fail("stretches", "do not cover the samples")


def _numbered(repeats: tuple[tuple[int, ...], ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"repeats_ns[{index}]", samples) for index, samples in enumerate(repeats)]


def _scenario_rule(scenario: ScenarioResult, fail: Fail) -> None:
    if scenario.samples_ns and scenario.latency != LatencyStats.of(scenario.samples_ns):
        fail("latency", "is not that of the samples")


ROW_RULES: Mapping[type, Rule] = {ReportRow: _row_rule, ScenarioResult: _scenario_rule}
"""What must hold of a row and of its parts."""
