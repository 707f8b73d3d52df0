"""What a model's outputs are worth: the metric in which a change of them is measured.

Nothing here needs labels: the model's own outputs are the target, and how much a change of them
matters is the Fisher information of the distribution that they stand for. A cotangent ``c`` with
``E[c cᵀ]`` equal to that Fisher information, sent backwards through the model, gives gradients
whose outer products are the Fisher information of whatever they are taken at.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from edge_tx.manifest import TaskSettings

__all__ = ["cotangents"]

_Draw = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cotangents(
    outputs: tuple[torch.Tensor, ...],
    mask: torch.Tensor,
    task: str,
    settings: TaskSettings,
    generator: torch.Generator,
) -> tuple[torch.Tensor, ...]:
    """Draws a cotangent for each output.

    Args:
        outputs: Of the model: ``[batch, C]``, ``[batch, seq, C]`` or, for the ends of an answer,
            ``[batch, seq]``.
        mask: ``bool[batch, seq]``, false for padding.
        task: Name of the task.
        settings: Of the model.
        generator: Of the random signs.
    """
    draw = _draw_of(outputs[0], task, settings)
    return tuple(_at_real_places(draw, out.detach(), mask, generator) for out in outputs)


def _draw_of(output: torch.Tensor, task: str, settings: TaskSettings) -> _Draw:
    if task in _BY_TASK:
        return _BY_TASK[task]
    if output.shape[-1] == 1 or settings.problem_type in _BY_PROBLEM:
        return _BY_PROBLEM.get(settings.problem_type, _gaussian)
    return _categorical


def _at_real_places(
    draw: _Draw, output: torch.Tensor, mask: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    real = mask
    if output.shape[:2] != mask.shape:  # an output for each text
        real = mask.any(dim=1)
    real = real if output.ndim == real.ndim else real.unsqueeze(-1).expand_as(output)
    signs = torch.randint(0, 2, output.shape, generator=generator).to(output.dtype) * 2 - 1
    return draw(output.masked_fill(~real, -1e4), signs).masked_fill(~real, 0.0)


def _categorical(logits: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """``diag(p) - p pᵀ`` has the root ``diag(q) (I - q qᵀ)`` with ``q = sqrt(p)``."""
    root = logits.softmax(dim=-1).sqrt()
    return root * (signs - root * (root * signs).sum(dim=-1, keepdim=True))


def _bernoulli(logits: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    chance = logits.sigmoid()
    return signs * (chance * (1 - chance)).sqrt()


def _gaussian(_values: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    return signs


_BY_TASK: Mapping[str, _Draw] = {
    "sentence-embedding": _gaussian,
    "feature-extraction": _gaussian,
    "text-ranking": _gaussian,
}
_BY_PROBLEM: Mapping[str, _Draw] = {
    "multi_label_classification": _bernoulli,
    "regression": _gaussian,
}
