"""What is asked of a distillation, checked once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_tx import metrics
from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.examples import Example
from edge_tx.manifest import TaskSettings
from edge_tx.metric_table import Answered, Metric, find_metric

__all__ = ["LOSSES", "Loss", "Training", "default_metric", "parse_losses"]


@dataclass(frozen=True, slots=True)
class Loss:
    """One row of the table of losses.

    Attributes:
        name: What users write: ``--loss hidden=0.5``.
        about: What it compares, in words.
        inside: Whether it looks inside the teacher, which then runs along in every step; if no
            loss does, the teacher's answers are computed once and read from disk.
        labels: Whether it needs the data's labels.
    """

    name: str
    about: str
    inside: bool = False
    labels: bool = False


LOSSES: Mapping[str, Loss] = {
    row.name: row
    for row in (
        Loss("output", "the teacher's answers: KL divergence of scores at a temperature, cosine "
             "of embeddings, squared error of numbers and of token features"),
        Loss("mse", "squared error of the outputs as they are"),
        Loss("hidden", "what each layer gives", inside=True),
        Loss("relations", "queries, keys and values of the last layer: how tokens attend to each "
             "other", inside=True),
        Loss("labels", "the data's own labels", labels=True),
    )
}  # fmt: skip


def parse_losses(text: str) -> dict[str, float]:
    """Reads ``"output=1,hidden=0.5"``; a name alone has the weight 1.

    Raises:
        UnknownName: There is no such loss.
        InvalidConfig: A weight is not a number above 0.
    """
    pairs = (part.strip().partition("=") for part in text.split(","))
    return _checked((name.strip(), weight if equals else 1.0) for name, equals, weight in pairs)


def _checked(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, weight in pairs:
        if name not in LOSSES:
            raise UnknownName("loss", name, LOSSES)
        try:
            found[name] = float(weight)
        except (TypeError, ValueError) as exc:
            raise InvalidConfig(f"the weight of the loss {name} is a number, not {weight}") from exc
        if not 0 < found[name] < math.inf:
            raise InvalidConfig(f"the weight of the loss {name} must be above 0, not {weight}")
    return found


def default_metric(task: str, width: int) -> Metric:
    """A metric that needs no labels: likeness to the teacher's answers.

    Args:
        task: Name of the task.
        width: Numbers per text or token; 0 where there are as many as tokens.
    """
    if width == 1:
        return _CORRELATION
    vectors = ("sentence-embedding", "feature-extraction", "fill-mask")
    return find_metric("cosine" if task in vectors else "agreement", task)


def _number(answered: Answered, _example: Example) -> float:
    return float(answered.outputs[0][0])


def _no_label(example: Example, settings: TaskSettings) -> Any:
    raise AssertionError("the teacher's answers stand for labels")


# The cosine of two single numbers is their sign, and of them no decoded answers are told apart.
_CORRELATION = Metric(
    "correlation",
    (),
    "correlation with the teacher's numbers",
    "",
    -1,
    _number,
    _no_label,
    metrics.pearson,
)


@dataclass(frozen=True)
class Training:
    """How a student is trained.

    Attributes:
        losses: Weights by name.
        temperature: Of the scores that are compared.
        epochs: Times that the data is gone through.
        minutes: Most time to spend, measurements and all; None for no limit.
        rate: Learning rate at its highest.
        warmup: Share of the training over which the rate rises; it falls in a line after that.
        decay: Weight decay of AdamW, for matrices.
        batch: Most rows of a batch.
        tokens: Most tokens of a batch, padding included.
        accumulate: Batches of one step.
        embeddings: Whether the embedding tables are trained, too: half of a small model's
            weights, and what a pruned student shares with its teacher.
        dropout: Whether the student's dropout is on.
        measurements: How often the metric is taken.
        patience: Measurements without a better one after which training ends; None for never.
        seed: Of the order of the data and of all that is random.
        save_seconds: Time between two states on disk.
    """

    losses: Mapping[str, float] = field(default_factory=lambda: {"output": 1.0, "hidden": 1.0})
    temperature: float = 2.0
    epochs: float = 3.0
    minutes: float | None = None
    rate: float = 1e-4
    warmup: float = 0.1
    decay: float = 0.01
    batch: int = 32
    tokens: int = 4096
    accumulate: int = 1
    embeddings: bool = False
    dropout: bool = False
    measurements: int = 10
    patience: int | None = None
    seed: int = 0
    save_seconds: float = 120.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "losses", _checked(self.losses.items()))
        problems = [
            f"{name} must be {wanted}, not {getattr(self, name)}"
            for name, wanted, fits in _RULES
            if getattr(self, name) is not None and not fits(getattr(self, name))
        ]
        if not self.losses:
            problems.append("there is no loss to train on")
        if problems:
            raise InvalidConfig("; ".join(problems))

    @property
    def inside(self) -> bool:
        """Whether a loss looks inside the teacher."""
        return any(LOSSES[name].inside for name in self.losses)

    @property
    def labelled(self) -> bool:
        """Whether a loss needs labels."""
        return any(LOSSES[name].labels for name in self.losses)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: all that decides what the weights become."""
        return {name: value for name, value in asdict(self).items() if name != "save_seconds"}


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _whole(value: float) -> bool:
    return isinstance(value, int) and value >= 1


def _share(value: float) -> bool:
    return 0 <= value < 1


_RULES = (
    *((name, "above 0", _positive) for name in ("temperature", "epochs", "minutes", "rate")),
    *((name, "a whole number above 0", _whole)
      for name in ("batch", "tokens", "accumulate", "measurements", "patience")),
    *((name, "from 0 to below 1", _share) for name in ("warmup", "decay")),
)  # fmt: skip
