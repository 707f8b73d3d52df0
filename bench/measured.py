"""What a cell's process measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_tx.report import Energy, Memory, Phases, ScenarioResult, Stretch, ThreadBudget, Window

__all__ = ["Measured"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        load_ns: From the first import of edge_tx to a model that is ready.
        first_ns: The first answer after that, cold.
        warm_up_calls: Calls before the timing became steady.
        steady: Whether it did.
        samples_ns: Every timed call.
        inputs: Calls of one pass.
        stretches: The same calls, stretch by stretch; empty where the processor is not watched.
        cpu_ns: CPU time of those, over all threads.
        also_ns: The same for each input of ``also``.
        list_inputs: Inputs answered in lists.
        list_ns: Time that took.
        list_cpu_ns: CPU time that took, over all threads.
        memory: Of this process.
        budget: Threads, read back.
        placement: Where it ran, as the vendor's runtime says.
        phases: Where the time of a call goes.
        energy: Of the timed calls.
        accuracy: Scores by metric.
        scenarios: One for each trial.
        sustained: Windows of the sustained run.
    """

    load_ns: int
    first_ns: int
    warm_up_calls: int
    steady: bool
    samples_ns: tuple[int, ...]
    cpu_ns: int
    also_ns: tuple[tuple[int, ...], ...]
    list_inputs: int
    list_ns: int
    list_cpu_ns: int
    memory: Memory
    budget: ThreadBudget
    placement: Mapping[str, Any]
    inputs: int = 1
    stretches: tuple[Stretch, ...] = ()
    phases: Phases | None = None
    energy: Energy | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    scenarios: tuple[ScenarioResult, ...] = ()
    sustained: tuple[Window, ...] = ()
