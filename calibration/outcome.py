"""What came of quantising a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_tx.calibration.gate import Step
from edge_tx.calibration.speed import Verdict
from edge_tx.errors import EdgeTxError

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle

__all__ = ["Outcome", "Quantization"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one backend and recipe.

    Attributes:
        graph: Name of the graph.
        backend: Name of the backend.
        recipe: As it was given.
        written: Whether the graph is in the bundle.
        reason: Why it is not, or what should be known of it, in words.
        metric: Name of the metric.
        fp32: The fp32 graph's.
        score: The quantised graph's.
        first: The metric before any layer was returned to float.
        steps: What was returned to float, and what each step bought.
        kept: Units that are in float again.
        verdict: Times and sizes on this device; None if they could not be measured here.
        error: What failed, if something did.
    """

    graph: str
    backend: str
    recipe: str
    written: bool
    reason: str = ""
    metric: str = ""
    fp32: float | None = None
    score: float | None = None
    first: float | None = None
    steps: tuple[Step, ...] = ()
    kept: tuple[str, ...] = ()
    verdict: Verdict | None = None
    size_ratio: float | None = None
    error: EdgeTxError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("graph", "backend", "recipe", "written", "reason", "metric", "fp32")
        }
        return plain | {
            "score": self.score,
            "first_score": self.first,
            "returned_to_float": [asdict(step) for step in self.steps],
            "kept_float": list(self.kept),
            "size_ratio": self.size_ratio,
            "speed": self._speed(),
            "error": None if self.error is None else str(self.error),
        }

    def _speed(self) -> Mapping[str, Any] | None:
        if self.verdict is None:
            return None
        return {"speedup": self.verdict.speedup, **self.verdict.metrics()}


@dataclass(frozen=True, slots=True)
class Quantization:
    """What came of a call.

    Attributes:
        bundle: Open, with the new graphs in it.
        outcomes: One for each backend and recipe.
    """

    bundle: Bundle
    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Those that failed; the others are not touched by it."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "bundle": str(self.bundle.origin),
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }
