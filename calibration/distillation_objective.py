"""The losses of a training, on one batch.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from edge_tx.calibration.distillation_cache import TeacherAnswers
from edge_tx.calibration.distillation_losses import (
    OUTPUT_LOSSES,
    hidden_loss,
    label_loss,
    output_kind,
    relation_loss,
)
from edge_tx.calibration.distillation_plan import Training
from edge_tx.calibration.distillation_taps import Taps
from edge_tx.errors import InvalidConfig
from edge_tx.exporters.traced import Traced

__all__ = ["Batch", "Objective"]

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """Rows that are used together.

    Attributes:
        places: Their numbers in the corpus.
        tensors: ``int64[batch, seq]`` by position, ids and mask first.
        labels: If they are wanted.
    """

    places: Sequence[int]
    tensors: Tensors
    labels: torch.Tensor | None = None


@dataclass(frozen=True)
class _Seen:
    """What student and teacher gave for a batch."""

    student: Tensors
    teacher: Tensors
    mask: torch.Tensor
    labels: torch.Tensor | None


class Objective:
    """How far a student is from its teacher.

    Args:
        teacher: The model to learn from.
        student: The model that learns; of the same task, tokens and output shapes.
        training: Which losses.
        answers: The teacher's outputs, if it need not run along.

    Attributes:
        projection: From the student's width to the teacher's, where they differ: trained along,
            and no part of the student.

    Raises:
        UnsupportedModel: The layers of a model cannot be told apart.
        InvalidConfig: Its attention is not known.
    """

    def __init__(
        self,
        teacher: Traced,
        student: Traced,
        training: Training,
        answers: TeacherAnswers | None,
    ) -> None:
        self._teacher = teacher.module
        self._student = student.module
        self._weights = training.losses
        self._temperature = training.temperature
        self._answers = answers
        width = student.outputs[0].shape[-1]
        kind = output_kind(student.task, student.settings, width if isinstance(width, int) else 0)
        self._compare = OUTPUT_LOSSES[kind]
        networks = [traced.module.transformer for traced in (student, teacher)]
        sizes = [network.config.hidden_size for network in networks]
        self.projection = torch.nn.Identity() if len(set(sizes)) == 1 else torch.nn.Linear(*sizes)
        self._taps = [
            Taps(
                network,
                hidden="hidden" in training.losses,
                relations="relations" in training.losses,
            )
            for network in networks
            if training.inside
        ]

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The losses by name, without their weights."""
        out = self._student(*batch.tensors)
        if self._answers is not None:
            wanted = self._answers.outputs(batch.places)
        else:
            with torch.no_grad():
                wanted = self._teacher(*batch.tensors)
        seen = _Seen(out, wanted, batch.tensors[1].bool(), batch.labels)
        return {name: _TERMS[name](self, seen) for name in self._weights}

    def total(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Their weighted sum."""
        return torch.stack([self._weights[name] * loss for name, loss in losses.items()]).sum()

    def close(self) -> None:
        """Takes its hooks off both models."""
        for taps in self._taps:
            taps.close()

    def _output(self, seen: _Seen) -> torch.Tensor:
        pairs = zip(seen.student, seen.teacher, strict=True)
        return _mean(
            [self._compare(one, other, seen.mask, self._temperature) for one, other in pairs]
        )

    def _mse(self, seen: _Seen) -> torch.Tensor:
        kept = [
            (one[seen.mask], other[seen.mask]) if one.shape[:2] == seen.mask.shape else (one, other)
            for one, other in zip(seen.student, seen.teacher, strict=True)
        ]
        return _mean([functional.mse_loss(one, other) for one, other in kept])

    def _hidden(self, seen: _Seen) -> torch.Tensor:
        """Each of the student's layers against the one as far up in the teacher."""
        mine, others = (taps.hidden for taps in self._taps)
        return _mean(
            [
                hidden_loss(
                    self.projection(mine[number]),
                    others[round((number + 1) * len(others) / len(mine)) - 1],
                    seen.mask,
                )
                for number in mine
            ]
        )

    def _relations(self, seen: _Seen) -> torch.Tensor:
        mine, others = (taps.parts() for taps in self._taps)
        pairs = zip(mine, others, strict=True)
        return _mean([relation_loss(one, other, seen.mask) for one, other in pairs])

    def _labels(self, seen: _Seen) -> torch.Tensor:
        if seen.labels is None:
            raise InvalidConfig("the loss labels needs data with labels")
        return label_loss(seen.student[0], seen.labels)


_TERMS: Mapping[str, Callable[[Objective, _Seen], torch.Tensor]] = {
    "output": Objective._output,
    "mse": Objective._mse,
    "hidden": Objective._hidden,
    "relations": Objective._relations,
    "labels": Objective._labels,
}


def _mean(losses: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(losses)).mean()
