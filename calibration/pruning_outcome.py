"""What came of a pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_tx.calibration.speed import Pace

__all__ = ["Attempt", "LayerReport", "Pruned", "Recovery", "Size"]


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What one layer kept.

    Attributes:
        heads: Numbers of the heads that it kept.
        of_heads: How many it had.
        neurons: How many neurons it kept.
        of_neurons: How many it had.
    """

    heads: tuple[int, ...]
    of_heads: int
    neurons: int
    of_neurons: int


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is.

    Attributes:
        parameters: All of its weights.
        encoder_parameters: Those of its layers.
        flops: Of its layers for one text, a multiplication and an addition counted as two.
        weight_bytes: Of all weights in fp32.
    """

    parameters: int
    encoder_parameters: int
    flops: float
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One cut that was tried.

    Attributes:
        target: Share that was left.
        score: The metric.
    """

    target: float
    score: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a distillation from the whole model brought, on rows that were not trained on.

    Attributes:
        metric: That was measured.
        before: Right after the cut.
        after: At the end, or at the best measurement before it.
        steps: Steps of the optimizer.
        seconds: Spent on training, measurements and all.
    """

    metric: str
    before: float
    after: float
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of it.

    Attributes:
        output: The new folder.
        method: That decided what goes.
        layers: What each layer kept, by the layer's number in the model as it was.
        removed_layers: Numbers of the layers that are gone.
        before: Size of the model as it was.
        after: Size of the pruned one.
        plain: Whether transformers alone can load it.
        target: Share that is left; None if sizes were given.
        asked: Share that was asked for.
        metric: Name of the metric; empty if nothing was measured.
        score_before: The metric of the model as it was.
        score_after: Of the pruned one.
        attempts: Cuts that were tried, in order.
        recovery: What a distillation brought; None if there was none.
        paces: By backend: both models' times of a call on one row; ``fp32_ns`` is the model as
            it was.
    """

    output: str
    method: str
    layers: Mapping[int, LayerReport]
    removed_layers: tuple[int, ...]
    before: Size
    after: Size
    plain: bool
    target: float | None = None
    asked: float | None = None
    metric: str = ""
    score_before: float | None = None
    score_after: float | None = None
    attempts: tuple[Attempt, ...] = ()
    recovery: Recovery | None = None
    paces: Mapping[str, Sequence[Pace]] = field(default_factory=dict)

    @property
    def flops_ratio(self) -> float:
        """Share of the layers' operations that is left."""
        return self.after.flops / self.before.flops

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain = {n: v for n, v in plain.items() if n != "paces"}
        return plain | {
            "layers": {str(number): asdict(row) for number, row in self.layers.items()},
            "before": asdict(self.before),
            "after": asdict(self.after),
            "flops_ratio": self.flops_ratio,
            "attempts": [asdict(one) for one in self.attempts],
            "recovery": None if self.recovery is None else asdict(self.recovery),
            "latency": {
                name: [
                    {
                        "seq": pace.seq,
                        "before_ns": pace.fp32_ns,
                        "after_ns": pace.ns,
                        "speedup": pace.speedup,
                    }
                    for pace in paces
                ]
                for name, paces in self.paces.items()
            },
        }
