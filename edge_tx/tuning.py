"""What was measured of a bundle's graphs on one device, and which of them is best for a goal.

A record is about one bundle (the hash of its manifest) on one machine (processor, limits,
accelerators, releases of the runtimes): when any of it changes, the record no longer applies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads

__all__ = ["SCHEMA", "TIE", "Goal", "Machine", "Measurement", "Tuning", "goal_of", "read", "write"]

SCHEMA = 1

TIE = 0.03
"""Graphs this near to the best count as equal: runs of one graph differ by as much."""


class Goal(str, Enum):
    """What "fastest" means."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    MEMORY = "memory"


def goal_of(name: str | Goal) -> Goal:
    """The goal of a name.

    Raises:
        UnknownName: There is none of that name.
    """
    try:
        return Goal(name)
    except ValueError:
        raise UnknownName("goal", name, (goal.value for goal in Goal)) from None


@dataclass(frozen=True, slots=True)
class Machine:
    """All of a device that decides which graph is fastest on it.

    Attributes:
        architecture: ``"x86_64"``, ``"aarch64"``...
        cpu: Name of the processor.
        instruction_sets: Those that matter to the kernels of the runtimes.
        logical_cores: Hardware threads this process may use.
        physical_cores: Cores behind them.
        quota: CPU time per wall time that the control groups allow; None for no limit.
        accelerators: Names and drivers.
        runtimes: Installed releases of the bundle's backends, e.g. ``"onnxruntime-1.32.0"``.
    """

    architecture: str
    cpu: str
    instruction_sets: tuple[str, ...]
    logical_cores: int
    physical_cores: int
    quota: float | None
    accelerators: tuple[str, ...]
    runtimes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One graph. Numbers are None where it could not be measured.

    Attributes:
        graph: Name of the graph.
        backend: Name of its backend.
        short_ns: Median of single calls with a short text, batch 1.
        long_ns: The same with a long text.
        per_second: Inputs per second over a list of mixed lengths.
        peak_rss_bytes: Most resident memory of a fresh process that did all this; None also
            where the system does not tell.
        load_ns: From nothing to a model that can be called.
        problem: Why it could not be measured; empty if it was.
    """

    graph: str
    backend: str
    short_ns: int | None = None
    long_ns: int | None = None
    per_second: float | None = None
    peak_rss_bytes: int | None = None
    load_ns: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """A bundle's graphs, measured on one device.

    Attributes:
        bundle: sha256 of the bundle's manifest.
        machine: The device.
        device: Which of a backend's devices was asked for; ``"auto"`` for each one's first.
        threads: CPU threads of every graph.
        goal: What to choose by.
        min_accuracy: Least accuracy to choose; None for no limit.
        graphs: One entry for each graph of the bundle.
        created: UTC, ISO 8601.
        edge_tx: Version that measured.
        schema: Version of this format.
    """

    bundle: str
    machine: Machine
    device: str
    threads: int
    goal: Goal
    min_accuracy: float | None
    graphs: tuple[Measurement, ...]
    created: str
    edge_tx: str
    schema: int = SCHEMA

    def cost(self, graph: str) -> float | None:
        """What a graph costs by the goal, less is better; None if it was not measured."""
        found = next((m for m in self.graphs if m.graph == graph and not m.problem), None)
        return None if found is None else _COSTS[self.goal].of(found)

    def shown(self, cost: float) -> str:
        """A cost in words."""
        return _COSTS[self.goal].show(cost)


@dataclass(frozen=True, slots=True)
class _Cost:
    of: Callable[[Measurement], float | None]
    show: Callable[[float], str]


def _latency(measured: Measurement) -> float | None:
    # The geometric mean: being twice as fast counts the same for short and for long texts.
    if measured.short_ns is None or measured.long_ns is None:
        return None
    return math.sqrt(measured.short_ns * measured.long_ns)


def _time_per_input(measured: Measurement) -> float | None:
    return 1 / measured.per_second if measured.per_second else None


_COSTS: Mapping[Goal, _Cost] = {
    Goal.LATENCY: _Cost(_latency, lambda ns: f"{ns / 1e6:.2f} ms a call"),
    Goal.THROUGHPUT: _Cost(_time_per_input, lambda s: f"{1 / s:.0f} inputs a second"),
    Goal.MEMORY: _Cost(lambda m: m.peak_rss_bytes, lambda size: f"{size / 1e6:.0f} MB at the peak"),
}


def read(data: bytes, name: str) -> Tuning:
    """Reads a record, strictly.

    Args:
        data: JSON.
        name: Of the file, for messages.

    Raises:
        InvalidConfig: It is not such a record; names the place.
    """
    return Reader(name, InvalidConfig, _RULES).read(Tuning, loads(data, name, InvalidConfig))


def write(tuning: Tuning) -> bytes:
    """Writes a record."""
    return dumps(encode(tuning), indent=1)


def _measurement(record: Measurement, fail: Fail) -> None:
    for name in ("short_ns", "long_ns", "per_second", "peak_rss_bytes", "load_ns"):
        value = getattr(record, name)
        if value is not None and not 0 < value < math.inf:
            fail(name, f"expected a number above 0, got {value}")


def _tuning(record: Tuning, fail: Fail) -> None:
    if record.schema != SCHEMA:
        fail("schema", f"expected {SCHEMA}, got {record.schema}")
    if record.threads < 1:
        fail("threads", f"expected 1 or more, got {record.threads}")
    if record.min_accuracy is not None and not 0 <= record.min_accuracy <= 1:
        fail("min_accuracy", f"expected a number from 0 to 1, got {record.min_accuracy}")
    if len({m.graph for m in record.graphs}) < len(record.graphs):
        fail("graphs", "a graph stands twice")


_RULES: Mapping[type, Rule] = {Measurement: _measurement, Tuning: _tuning}
