"""How far a student is from its teacher: in what it answers, in its layers, in its attention.

Every loss is a mean over what counts (texts, real tokens, scores), so that weights mean the same
at every batch size, and 0 where student and teacher are equal.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from edge_tx.manifest import TaskSettings

__all__ = ["OUTPUT_LOSSES", "hidden_loss", "label_loss", "output_kind", "relation_loss"]

OutputLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]

IGNORED = -100
"""Class of a token that has no label, as in transformers."""

_FAR = -1e4
"""What stands for a score at padding: its softmax is 0, and differences of it are no NaN."""


def output_kind(task: str, settings: TaskSettings, width: int) -> str:
    """Which of :data:`OUTPUT_LOSSES` fits a model's outputs.

    Args:
        task: Name of the task.
        settings: Of the model.
        width: Numbers per text or token.
    """
    if task in _KINDS:
        return _KINDS[task]
    if settings.problem_type == "multi_label_classification":
        return "chances"
    return "number" if width == 1 or settings.problem_type == "regression" else "scores"


def _scores(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, temperature: float
) -> torch.Tensor:
    """KL divergence of softmaxes, made softer by a temperature (https://arxiv.org/abs/1503.02531).

    Args:
        student: ``[batch, C]`` or ``[batch, seq, C]``.
        teacher: As the student's.
        mask: ``bool[batch, seq]``.
        temperature: Both are divided by it; gradients are as large for all temperatures.
    """
    each = functional.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    return _real(each, mask).mean() * temperature**2


def _ends(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The same of ``[batch, seq]`` scores that compete over the tokens of a text."""
    one, other = (scores.masked_fill(~mask, _FAR) for scores in (student, teacher))
    return _scores(one, other, mask.any(1), temperature)


def _chances(
    student: torch.Tensor, teacher: torch.Tensor, _mask: torch.Tensor, temperature: float
) -> torch.Tensor:
    """KL divergence of each label's own yes and no."""
    one, other = (torch.stack([s, torch.zeros_like(s)], -1) for s in (student, teacher))
    return _scores(one, other, torch.ones(student.shape, dtype=torch.bool), temperature)


def _number(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, _temperature: float
) -> torch.Tensor:
    return _real((student - teacher).square(), mask).mean()


def _direction(
    student: torch.Tensor, teacher: torch.Tensor, _mask: torch.Tensor, _temperature: float
) -> torch.Tensor:
    return 1 - functional.cosine_similarity(student, teacher, dim=-1).mean()


def _tokens(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, _temperature: float
) -> torch.Tensor:
    return hidden_loss(student, teacher, mask)


OUTPUT_LOSSES: Mapping[str, OutputLoss] = {
    "scores": _scores,
    "ends": _ends,
    "chances": _chances,
    "number": _number,
    "direction": _direction,
    "tokens": _tokens,
}
"""By kind; called with the outputs of student and teacher, the mask and the temperature."""

_KINDS: Mapping[str, str] = {
    "sentence-embedding": "direction",
    "feature-extraction": "tokens",
    "text-ranking": "number",
    "question-answering": "ends",
}


def hidden_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared error of hidden states over the teacher's mean square, so that layers weigh alike.

    (TinyBERT, https://arxiv.org/abs/1909.10351, without the division.)

    Args:
        student: ``[batch, seq, D]``.
        teacher: As the student's.
        mask: ``bool[batch, seq]``.
    """
    wanted = _real(teacher, mask)
    return (_real(student, mask) - wanted).square().mean() / wanted.square().mean()


def relation_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL divergence of how the tokens of a text attend to each other in one projection.

    Queries, keys or values are split into as many heads as both widths allow, so that student
    and teacher may differ in heads and width (MiniLMv2, https://arxiv.org/abs/2012.15828).

    Args:
        student: ``[batch, seq, D]``.
        teacher: ``[batch, seq, E]``.
        mask: ``bool[batch, seq]``.
    """
    heads = _common_heads(student.shape[-1], teacher.shape[-1])
    one, other = (_relations(values, mask, heads) for values in (student, teacher))
    each = functional.kl_div(one, other, reduction="none", log_target=True).sum(-1)
    return each.transpose(1, 2)[mask].mean()


_MOST_HEADS = 16


def _common_heads(one: int, other: int) -> int:
    common = math.gcd(one, other)
    return max(n for n in range(1, _MOST_HEADS + 1) if common % n == 0)


def _relations(values: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """``[batch, heads, seq, seq]``: logarithms of the softmax over keys."""
    split = values.unflatten(-1, (heads, -1)).transpose(1, 2)
    scores = split @ split.transpose(-1, -2) / math.sqrt(split.shape[-1])
    return scores.masked_fill(~mask[:, None, None], _FAR).log_softmax(-1)


def label_loss(student: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy with the data's own labels; squared error where they are numbers.

    Args:
        student: ``[batch, C]`` or ``[batch, seq, C]``.
        labels: ``int64[batch]`` or ``int64[batch, seq]`` of classes; ``float32[batch, C]`` of
            chances, or of one number.
    """
    if labels.dtype == torch.int64:
        return functional.cross_entropy(
            student.flatten(0, -2), labels.flatten(), ignore_index=IGNORED
        )
    if student.shape[-1] == 1:
        return functional.mse_loss(student, labels)
    return functional.binary_cross_entropy_with_logits(student, labels)


def _real(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What stands at real tokens, flat; all of it where there is one value for each text."""
    return values[mask] if values.shape[: mask.ndim] == mask.shape else values
