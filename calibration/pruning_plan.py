"""What is asked of a pruning: checked once, before anything slow begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_tx import backends
from edge_tx.backends import Backend
from edge_tx.calibration.plan import Data
from edge_tx.errors import InvalidConfig, MissingDependency, UnknownName

__all__ = ["METHODS", "Plan", "Searched", "exporting", "parse_layers"]

METHODS: Mapping[str, str] = {
    "surgeon": "units go one by one, at the cost they have once the others make up for them",
    "fisher": "units go by the Fisher information of their masks (Kwon et al. 2022)",
}

_LEAST = 0.02
_SEARCH = "search:"


@dataclass(frozen=True, slots=True)
class Searched:
    """So many layers, of which those stay that are missed most.

    Attributes:
        count: How many stay.
    """

    count: int


def parse_layers(text: str) -> tuple[int, ...] | int | Searched:
    """Reads ``"4"``, ``"0,1,3,5"`` or ``"search:4"``.

    Raises:
        InvalidConfig: It is none of them.
    """
    numbers = text.removeprefix(_SEARCH).split(",")
    searched = text.startswith(_SEARCH)
    if not all(part.strip().isdecimal() for part in numbers) or (searched and numbers[1:]):
        raise InvalidConfig(
            f"layers is a count (4), numbers with commas (0,1,3,5) or search:4, not '{text}'"
        )
    values = tuple(map(int, numbers))
    if searched:
        return Searched(values[0])
    return values if len(values) > 1 else values[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        data: Real inputs.
        target_flops: Share of the layers' floating-point operations that may be left.
        target_latency: Share of the whole model's time that may be left, on this device.
        heads: Heads that each layer keeps.
        ffn: Neurons that each layer keeps.
        layers: Layers that stay: their numbers, or how many, evenly spread or searched.
        plain: Whether every layer keeps its heads and all FFNs get one width, so that any
            program that reads transformers' configs can load the model.
        method: Name of a method of :data:`METHODS`.
        backend: That measures layers for a latency target.
        measure: Backends that time the model before and after.
        dev: Rows to measure on; None for the data, if the metric needs no labels.
        metric: Name of the metric; empty to measure nothing.
        max_drop: Most that the metric may fall; None for no gate.
        samples: Most inputs to look at.
        seq: Tokens of a text that operations are counted and layers are timed at.
        seed: Of the sample.
        threads: CPU threads to measure with.
        options: Call options of the task.
        recover: Minutes of distillation from the whole model that follow each cut; None for
            none.
        work: Keeps the state of that distillation.

    Raises:
        UnknownName: There is no such method.
        InvalidConfig: Options make no sense, or do not go together.
    """

    data: Data
    target_flops: float | None = None
    target_latency: float | None = None
    heads: int | None = None
    ffn: int | None = None
    layers: tuple[int, ...] | int | Searched | None = None
    plain: bool = False
    method: str = "surgeon"
    backend: Backend | None = None
    measure: tuple[Backend, ...] = ()
    dev: Data | None = None
    metric: str = ""
    max_drop: float | None = None
    samples: int = 2048
    seq: int = 128
    seed: int = 0
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    recover: float | None = None
    work: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("method", self.method, METHODS)
        self._check_amounts()
        if self.metric == "" and self.max_drop is not None:
            raise InvalidConfig("max_drop needs a metric: name one, e.g. accuracy or cosine")
        if self.max_drop is not None and not 0 <= self.max_drop <= 2:
            raise InvalidConfig(f"max_drop must be 0 to 2 (0.01 is a point), not {self.max_drop}")
        if self.samples < 8 or self.seq < 2:
            raise InvalidConfig("samples must be 8 or more, and seq 2 or more")
        if self.recover is not None and not 0 < self.recover < math.inf:
            raise InvalidConfig(f"recover is minutes, above 0, not {self.recover}")

    def _check_amounts(self) -> None:
        targets = [t for t in (self.target_flops, self.target_latency) if t is not None]
        explicit = self.heads is not None or self.ffn is not None
        if len(targets) > 1:
            raise InvalidConfig("give target_flops or target_latency, not both")
        if targets and explicit:
            raise InvalidConfig("a target decides on heads and ffn itself: give one or the other")
        if not targets and not explicit and self.layers is None:
            raise InvalidConfig(
                "nothing to remove: give target_flops, target_latency, heads, ffn or layers"
            )
        for target in targets:
            if not _LEAST <= target <= 1:
                raise InvalidConfig(
                    f"a target is the share that is left, {_LEAST} to 1, not {target}"
                )
        for name in ("heads", "ffn"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidConfig(f"{name} must be 1 or more, not {value}")
        if self.plain and self.heads is not None:
            raise InvalidConfig("plain keeps all heads: leave heads out")

    @property
    def target(self) -> float | None:
        """The share that is asked for, if one is."""
        return self.target_flops if self.target_flops is not None else self.target_latency

    def chosen_layers(self, count: int) -> tuple[int, ...]:
        """Numbers of the layers that stay, of so many.

        Raises:
            InvalidConfig: There are no such layers.
        """
        if self.layers is None or isinstance(self.layers, Searched):
            return tuple(range(count))
        if isinstance(self.layers, int):
            if not 1 <= self.layers <= count:
                raise InvalidConfig(f"of {count} layers 1 to {count} can stay, not {self.layers}")
            spread = max(self.layers - 1, 1)
            return tuple(round(i * (count - 1) / spread) for i in range(self.layers))
        wrong = [n for n in self.layers if not 0 <= n < count]
        if wrong or not self.layers or list(self.layers) != sorted(set(self.layers)):
            raise InvalidConfig(
                f"layers are numbers from 0 to {count - 1} in order, not {list(self.layers)}"
            )
        return self.layers


def exporting(name: str) -> Backend:
    """A backend that can export and run here.

    Raises:
        UnknownName: There is none of that name.
        InvalidConfig: It has no exporter.
        MissingDependency: It is not installed.
    """
    row = backends.find(name)
    if not row.exporter:
        raise InvalidConfig(f"backend '{row.name}' has no exporter")
    if row.module is None:
        raise MissingDependency(row.modules[0], f"timing {row.name} graphs", row.install)
    return row
