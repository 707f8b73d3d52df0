"""What came of an optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_tx.optimizing.aims import Aim
from edge_tx.optimizing.front import Front, Point
from edge_tx.views.pruning import Pruning

__all__ = ["Optimized"]


@dataclass(frozen=True, slots=True)
class Optimized:
    """What came of it.

    Attributes:
        output: The bundle.
        best: The graph in it.
        whole: The whole model's fp32 graph, which all is compared with.
        front: All that was tried, each with its place.
        aim: What the best one is best at.
        metric: That was held.
        max_drop: Most that it may fall.
        seconds: That all steps took, all runs together.
        record: The same as JSON, beside the bundle; as HTML in a file of the same name.
        pruned: What pruning left of the layers, by the model's name: ``"60%"``.
    """

    output: Path
    best: Point
    whole: Point
    front: Front
    aim: Aim
    metric: str
    max_drop: float
    seconds: float
    record: Path
    pruned: Mapping[str, Pruning] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """How many times less the best one takes than the whole model's fp32 graph."""
        return self.whole.costs[self.aim.name] / self.best.costs[self.aim.name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "output": str(self.output),
            "target": self.aim.name,
            "metric": self.metric,
            "max_drop": self.max_drop,
            "best": self.best.name,
            "gain": self.gain,
            "whole": self.whole.name,
            "seconds": self.seconds,
            "front": [place.to_dict() for place in self.front.places],
            "pruned": {name: asdict(pruning) for name, pruning in self.pruned.items()},
        }
