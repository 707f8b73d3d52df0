"""How much of which sublayer to remove, so that a budget holds and as little as possible is lost.

What a sublayer loses with each group of units that goes, and what it then costs to run, are
known. Errors are taken to add up. A Lagrange multiplier turns the budget into a price, at which
every sublayer chooses for itself; what is left of the budget is then spent where it helps most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.calibration.pruning_encoder import Key

__all__ = ["Choice", "Option", "allocate", "even_ffn", "flops"]

_ROUNDING = 1e-9
_PRICES = np.logspace(-30, 30, 601)


@dataclass(frozen=True)
class Option:
    """What a sublayer may become.

    Attributes:
        errors: What is lost with 0, 1, 2... groups of units gone; starts at 0 and grows.
        costs: What it costs to run then.
    """

    errors: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]


Choice = dict["Key", int]
"""How many groups of units of each sublayer go."""


def flops(width: int, head_size: int, kind: str, units: int, parts: int, seq: int) -> float:
    """Floating-point operations of a sublayer for one token, the way papers on pruning count.

    Args:
        width: Of the residual stream.
        head_size: Width of a head.
        kind: ``"attention"`` or ``"ffn"``.
        units: Heads or neurons.
        parts: Linear layers of that width into a neuron: 2 with a gate.
        seq: Tokens of a text.
    """
    per_unit: Mapping[str, float] = {
        "attention": 2 * 4 * width * head_size + 2 * 2 * seq * head_size,
        "ffn": 2 * (parts + 1) * width,
    }
    return per_unit[kind] * units


def allocate(options: Mapping[Key, Option], budget: float) -> Choice:
    """The choice of least error within a budget.

    Args:
        options: Of each sublayer.
        budget: Most that all of them may cost together.

    Raises:
        InvalidConfig: Even the least that may be left costs more.
    """
    budget *= 1 + _ROUNDING
    least = {key: int(option.costs.argmin()) for key, option in options.items()}
    if _cost(options, least) > budget:
        share = _cost(options, least) / _cost(options, dict.fromkeys(options, 0))
        raise InvalidConfig(
            f"the target is out of reach: with one head and a few neurons left in each layer, the "
            f"layers still cost {share:.0%}; ask for more, or remove layers"
        )
    choice = least
    for price in _PRICES:  # from free to dear: the first that fits is the best at any price
        trial = {key: _best_at(option, price) for key, option in options.items()}
        if _cost(options, trial) <= budget:
            choice = trial
            break
    return _spend(options, choice, budget)


def even_ffn(options: Mapping[Key, Option], budget: float) -> Choice:
    """All heads stay, and every FFN keeps equally many neurons: what any config can say.

    Raises:
        InvalidConfig: The FFNs alone cannot bring the cost down so far.
    """
    budget *= 1 + _ROUNDING
    groups = min(len(option.costs) for key, option in options.items() if key.kind == "ffn")
    for gone in range(groups):
        choice = {key: gone if key.kind == "ffn" else 0 for key in options}
        if _cost(options, choice) <= budget:
            return choice
    raise InvalidConfig(
        "the target is out of reach with all heads in place: remove layers, or allow layers of "
        "different shapes"
    )


def _cost(options: Mapping[Key, Option], choice: Mapping[Key, int]) -> float:
    return float(sum(options[key].costs[gone] for key, gone in choice.items()))


def _best_at(option: Option, price: float) -> int:
    return int((option.errors + price * option.costs).argmin())


def _spend(options: Mapping[Key, Option], choice: Choice, budget: float) -> Choice:
    """Puts groups back, the most useful for their cost first, for as long as they fit."""
    choice = dict(choice)
    left = budget - _cost(options, choice)
    while True:
        moves = [
            move for key, gone in choice.items() for move in _moves(options[key], key, gone, left)
        ]
        if not moves:
            return choice
        _, cost, key, gone = max(moves, key=lambda move: move[0])
        choice[key] = gone
        left -= cost


def _moves(
    option: Option, key: Key, gone: int, left: float
) -> Sequence[tuple[float, float, Key, int]]:
    """Gain for the cost, cost, sublayer and new choice of what can be put back."""
    found = []
    for fewer in range(gone):
        cost = float(option.costs[fewer] - option.costs[gone])
        gain = float(option.errors[gone] - option.errors[fewer])
        if cost <= left and (gain > 0 or cost < 0):
            found.append((gain / max(cost, 1e-30), cost, key, fewer))
    return found
