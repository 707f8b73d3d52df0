"""What to measure of bundles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_tx import vendors
from edge_tx.bench.reference import find_reference
from edge_tx.bench.sweep import Axes
from edge_tx.errors import InvalidConfig
from edge_tx.runtimes.selection import check_limit

__all__ = ["Plan", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure.

    Attributes:
        bundle: Path of a bundle: a folder or an ``.etx`` file.
        given: What the user gave, if it was not that: a checkpoint's folder or a hub id.
        checkpoint: Folder of the checkpoint, for a reference; empty if unknown.
    """

    bundle: str
    given: str = ""
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure of each bundle.

    Attributes:
        graphs: Names of graphs; empty for all.
        backends: Only graphs of these backends; empty for every backend.
        device: Device to run on.
        axes: Threads, batches and lengths to sweep over.
        inputs: Inputs of the task; empty for those of ``data``, or else for the texts of the
            bundle's golden answers.
        data: A file of rows (:mod:`edge_tx.examples`) whose inputs are measured with.
        metrics: Metrics of accuracy on the data's labels; empty for the usual one.
        options: The task's options.
        vendor: The vendor's own settings, for graphs or a backend that are named.
        seconds: Time to spend at least on the calls of a cell, and again on lists.
        min_calls: Calls to time at least.
        min_accuracy: Only graphs of at least this accuracy (:mod:`edge_tx.accuracy`); None for
            all.
        seed: Of the order of the cells, and of the arrivals of queries.
        repeats: Times that each cell is measured again; None for once, of one cell alone.
        reference: Name of a reference to measure too; empty for none.
        scenarios: Names of MLPerf's scenarios.
        rate: Queries per second of the scenario Server.
        loadgen: Whether MLPerf's own LoadGen runs the scenarios as well.
        sustain_ns: Time to go on calling in each cell; 0 not to.
        max_memory_bytes: Private memory that a cell may have; 0 for no limit.
    """

    graphs: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    device: str = "auto"
    axes: Axes = field(default_factory=Axes)
    inputs: tuple[Any, ...] = ()
    data: str = ""
    metrics: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    vendor: tuple[tuple[str, str], ...] = ()
    seconds: float = 1.0
    min_calls: int = 50
    min_accuracy: float | None = None
    seed: int = 0
    repeats: int | None = None
    reference: str = ""
    scenarios: tuple[str, ...] = ()
    rate: float = 0.0
    loadgen: bool = False
    sustain_ns: int = 0
    max_memory_bytes: int = 0

    def __post_init__(self) -> None:
        check_limit(self.min_accuracy)
        if not 0 < self.seconds <= 3600:
            raise InvalidConfig(f"seconds must be over 0 and at most 3600, not {self.seconds}")
        for name, least in (("min_calls", 1), ("repeats", 0), ("max_memory_bytes", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidConfig(f"{name} must be {least} or more, not {value}")
        if self.metrics and not self.data:
            raise InvalidConfig("a metric needs labelled data: give it, or leave the metric out")
        if self.inputs and self.data:
            raise InvalidConfig("inputs and data are both what is measured with: give one of them")
        vendors.options_of(dict(self.vendor), bool(self.graphs) or bool(self.backends))
        if self.reference:
            find_reference(self.reference)
        self._check_scenarios()

    def _check_scenarios(self) -> None:
        from edge_tx.bench.scenarios import find_scenario

        found = [find_scenario(name) for name in self.scenarios]
        if any(scenario.needs_rate for scenario in found) and not self.rate > 0:
            raise InvalidConfig("the scenario Server needs a rate of queries per second")
        if self.loadgen and not found:
            raise InvalidConfig("loadgen runs scenarios: name at least one")
