"""Which heads and neurons to remove: what each costs once the others make up for it.

Optimal Brain Surgeon (Hassibi and Stork, 1992) for whole columns of an output layer, as in
ZipLM (Kurtic et al., https://arxiv.org/abs/2302.04089): with the inverse ``P`` of the features'
second moments, removing the columns ``S`` of the weights ``W`` and changing the others to make up
for it as well as they can costs ``tr(G W_S (P_SS)^-1 W_Sᵀ)``, where ``G`` is the metric of
the gradients at the output. The cheapest unit goes, ``W`` and ``P`` are updated, and so on.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Path", "damped", "ranked_path", "removal_path"]

_RIDGE = 1e-3


@dataclass(frozen=True)
class Path:
    """The units of a sublayer in the order in which they go.

    Attributes:
        order: Groups of units; those of one group go together. What is in none stays.
        errors: What is lost once each group is gone, growing.
    """

    order: tuple[tuple[int, ...], ...]
    errors: tuple[float, ...]

    def removed(self, groups: int) -> list[int]:
        """The units that are gone after so many groups."""
        return [unit for group in self.order[:groups] for unit in group]


def damped(moments: torch.Tensor, ridge: float = _RIDGE) -> torch.Tensor:
    """Second moments with a little more on the diagonal, so that they can be inverted."""
    out = moments.double()
    out.diagonal().add_(ridge * out.diagonal().mean())
    return out


def removal_path(
    moments: torch.Tensor,
    weights: torch.Tensor,
    gradients: torch.Tensor,
    size: int,
    step: int,
    most: int | None = None,
) -> Path:
    """Removes unit after unit, the least harmful first, until one step is left.

    Args:
        moments: ``[units * size + 1, ...]`` of the features with a one after them, damped.
        weights: ``[D, units * size + 1]``: of the output layer, with its bias after them.
        gradients: ``[D, D]``, at the output.
        size: Columns of one unit.
        step: Units that go together.
        most: Groups to remove at most.
    """
    surgeon = _Surgeon(moments, weights, gradients, size)
    order: list[tuple[int, ...]] = []
    errors: list[float] = []
    total = 0.0
    while surgeon.left > step and (most is None or len(order) < most):
        units = surgeon.cheapest(step)
        total += surgeon.remove(units)
        order.append(tuple(units))
        errors.append(total)
    return Path(tuple(order), tuple(errors))


def ranked_path(scores: torch.Tensor, step: int) -> Path:
    """Removes units by a score of their own, the lowest first, until one step is left.

    Args:
        scores: ``[units]``; those of units that go are taken to add up.
        step: Units that go together.
    """
    order = scores.argsort(stable=True)[: max(0, len(scores) - step)]
    groups = [group.tolist() for group in order.split(step) if len(group) == step]
    totals = torch.cumsum(torch.stack([scores[group].sum() for group in groups]), 0)
    return Path(tuple(map(tuple, groups)), tuple(totals.tolist()))


class _Surgeon:
    """Weights in the metric of the gradients, and the inverse moments, as columns go."""

    def __init__(
        self, moments: torch.Tensor, weights: torch.Tensor, gradients: torch.Tensor, size: int
    ) -> None:
        self._inverse = torch.linalg.inv(moments.double()).float()
        self._weights = _root(gradients) @ weights
        self._size = size
        self._alive = torch.ones((moments.shape[0] - 1) // size, dtype=torch.bool)

    @property
    def left(self) -> int:
        return int(self._alive.sum())

    def cheapest(self, count: int) -> list[int]:
        units, size = len(self._alive), self._size
        inner = units * size
        if size == 1:
            costs = self._weights[:, :inner].square().sum(0) / self._inverse.diagonal()[:inner]
        else:
            blocks = self._inverse[:inner, :inner].view(units, size, units, size)
            own = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # [units, size, size]
            columns = self._weights[:, :inner].T.reshape(units, size, -1)
            # Gone units are identity blocks of no weight: they can be solved, and are masked.
            costs = (torch.linalg.solve(own, columns) * columns).sum(dim=(1, 2))
        costs = costs.masked_fill(~self._alive, torch.inf)
        chosen: list[int] = costs.topk(count, largest=False).indices.tolist()
        return chosen

    def remove(self, units: list[int]) -> float:
        """Removes units; gives what that costs."""
        places = (torch.tensor(units)[:, None] * self._size + torch.arange(self._size)).flatten()
        columns, rows = self._weights[:, places].clone(), self._inverse[places].clone()
        block = rows[:, places]
        step = torch.linalg.solve(block.double(), torch.cat([columns.T, rows], 1).double()).float()
        change, inverse_change = step[:, : len(columns)], step[:, len(columns) :]
        self._weights -= change.T @ rows
        self._inverse -= rows.T @ inverse_change
        self._inverse[places] = 0
        self._inverse[:, places] = 0
        self._inverse[places, places] = 1
        self._weights[:, places] = 0
        self._alive[torch.tensor(units)] = False
        return float((change * columns.T).sum())


def _root(gradients: torch.Tensor) -> torch.Tensor:
    """``R`` with ``RᵀR`` equal to a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(gradients.double())
    return (vectors * values.clamp(min=0).sqrt()).T.float()
