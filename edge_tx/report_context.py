"""Where, when and how a report was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Conditions", "Noise", "ReportContext", "ReportModel"]


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
