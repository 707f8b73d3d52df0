"""What came of a distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_tx.exporters.traced import Traced

__all__ = ["Distilled", "outcome"]


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Attributes:
        output: The new folder; empty if none was written.
        metric: That was measured.
        teacher: The metric of the teacher; 1 if its answers stand for the labels.
        before: Of the student as it was.
        after: Of the student as it is: the best of all measurements.
        steps: Steps of the optimizer.
        seconds: Spent on training, measurements and all.
        parameters: Weights of teacher and student.
        history: What was measured: step, metric and losses.
    """

    output: str
    metric: str
    teacher: float
    before: float
    after: float
    steps: int
    seconds: float
    parameters: tuple[int, int]
    history: tuple[Mapping[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def outcome(
    position: Any, metric: str, reference: float, teacher: Traced, student: Traced
) -> Distilled:
    """What came of a run that has ended.

    Args:
        position: Where it ended.
        metric: Name of the metric.
        reference: What the teacher reaches in it.
        teacher: The model learned from.
        student: The model that learned.
    """
    return Distilled(
        output="",
        metric=metric,
        teacher=reference,
        before=position.history[0]["metric"],
        after=position.best,
        steps=position.steps,
        seconds=position.seconds,
        parameters=(_weights(teacher), _weights(student)),
        history=tuple(position.history),
    )


def _weights(traced: Traced) -> int:
    return sum(weight.numel() for weight in traced.module.parameters())
