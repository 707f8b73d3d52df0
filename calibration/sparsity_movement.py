"""Pruning by movement: weights go that training moves towards zero, whatever their size.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from edge_tx.calibration.distillation_data import Corpus, labels_of
from edge_tx.calibration.distillation_objective import Batch, Objective
from edge_tx.calibration.distillation_plan import Training
from edge_tx.calibration.distillation_rows import epoch_batches, tensors_of
from edge_tx.calibration.sparsity_math import Choice
from edge_tx.exporters.traced import Traced

__all__ = ["train_masks"]

_SETTLED = 0.7
"""Share of the training after which the masks no longer grow, and what is left recovers."""

_SCORE_RATE = 1e-2
_CLIP = 1.0


@dataclass
class _Masked:
    """A layer while it is trained.

    Attributes:
        layer: Holds the masked weight in a forward pass, and the whole one between two.
        scores: The larger, the rather a weight stays.
        mask: Which weights stay.
        whole: The weight with those that are masked now, and may come back.
    """

    layer: torch.nn.Linear
    scores: torch.nn.Parameter
    mask: torch.Tensor
    whole: torch.Tensor


def train_masks(
    traced: Traced,
    layers: Mapping[str, torch.nn.Linear],
    choice: Choice,
    corpus: Corpus,
    training: Training,
    progress: Callable[[int, int], None],
) -> None:
    """Trains weights and masks together, in place; the model as it was is the teacher.

    A score collects ``-∂L/∂w · w``: it falls while training pushes its weight towards zero. The
    share of zeros rises as a cube, and the gradient passes the masks by (soft movement pruning
    with a fixed share, https://arxiv.org/abs/2005.07683).

    Args:
        traced: The model.
        layers: Whose weights may go.
        choice: How many go.
        corpus: Rows to train on, with labels if a loss needs them.
        training: Losses, epochs, rate and batches.
        progress: Told how many batches are over, and of how many.
    """
    whole = [
        batch
        for epoch in range(max(1, round(training.epochs)))
        for batch in epoch_batches(
            corpus.lengths, training.batch, training.tokens, training.seed, epoch
        )
    ]
    teacher = replace(traced, module=copy.deepcopy(traced.module))
    objective = Objective(teacher, traced, training, None)
    masked = [_start(layer) for layer in layers.values()]
    optimizer = _optimizer(masked, training)
    for number, places in enumerate(whole):
        if number % max(1, len(whole) // 10) == 0:
            progress(number, len(whole))
        done = number / len(whole)
        _choose(masked, choice.eased(1 - (1 - min(1.0, done / _SETTLED)) ** 3))
        for group, rate in zip(optimizer.param_groups, (training.rate, _SCORE_RATE), strict=True):
            group["lr"] = rate * (1 - done)
        _learn(objective, masked, _batch(corpus, places, traced))
        torch.nn.utils.clip_grad_norm_([m.layer.weight for m in masked], _CLIP)
        optimizer.step()
        optimizer.zero_grad()
    objective.close()
    _choose(masked, choice)
    for one in masked:
        one.layer.weight.requires_grad_(False).mul_(one.mask)


def _start(layer: torch.nn.Linear) -> _Masked:
    weight = layer.weight.requires_grad_(True)
    # All are equal at first; what is in the way of a choice is then a weight's size.
    scores = torch.nn.Parameter(1e-6 * weight.detach().abs())
    return _Masked(layer, scores, torch.ones_like(weight, dtype=torch.bool), weight.detach())


def _optimizer(masked: Sequence[_Masked], training: Training) -> torch.optim.Optimizer:
    groups = [
        {"params": [m.layer.weight for m in masked], "weight_decay": training.decay},
        {"params": [m.scores for m in masked], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)


def _choose(masked: Sequence[_Masked], choice: Choice | None) -> None:
    if choice is None:
        return
    for one in masked:
        one.mask = choice.keep(one.scores.detach())


def _learn(objective: Objective, masked: Sequence[_Masked], batch: Batch) -> None:
    """Leaves gradients of weights and scores, and the weights whole."""
    for one in masked:
        one.whole = one.layer.weight.detach().clone()
        one.layer.weight.data.mul_(one.mask)
    objective.total(objective.losses(batch)).backward()
    for one in masked:
        weight: Any = one.layer.weight
        weight.data.copy_(one.whole)
        if weight.grad is not None:
            one.scores.grad = weight.grad * one.whole
            weight.grad.mul_(one.mask)


def _batch(corpus: Corpus, places: Sequence[int], traced: Traced) -> Batch:
    rows = [corpus.rows[place] for place in places]
    labels = labels_of(corpus, places)
    return Batch(places, tensors_of(rows, traced.policy), labels)
