"""Between the walk, which decides, and the workshop, which does; and what both tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_tx.optimizing.journal import Made, Timed
from edge_tx.optimizing.plan import Branch

__all__ = ["Begun", "Progress", "Say", "Workshop"]

Say = Callable[[str], None]
"""Told which part of a step begins."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What whoever waits is told.

    Attributes:
        step: What is done now, in words.
        detail: Which part of it; empty at its beginning.
        result: What came of the step, in words, when it is over; empty before.
        recalled: Whether the journal had it: nothing was done.
    """

    step: str
    detail: str = ""
    result: str = ""
    recalled: bool = False


Progress = Callable[[Begun], None]


class Workshop(Protocol):
    """Does the work. What fails becomes the ``problem`` of what it returns."""

    def prune(self, kept: float, say: Say) -> Made:
        """Makes a model of which so much is left, and measures it."""

    def recover(self, kept: float, say: Say) -> Made:
        """Trains that model to answer as the whole one does, and measures it."""

    def export(self, branch: Branch, reference: Branch, say: Say) -> Made:
        """Makes an fp32 graph of a model and measures its score.

        Args:
            branch: The model and the backend.
            reference: Whose fp32 graph stands for the whole model; the first one is its own.
            say: Told which part of it begins.
        """

    def quantize(
        self,
        branch: Branch,
        recipe: str,
        budget: float,
        reference: Branch,
        say: Say,
    ) -> Made:
        """Adds a quantised graph to a branch whose drop is within a budget."""

    def measure(
        self,
        branch: Branch,
        recipes: Sequence[str],
        reference: Branch,
        say: Say,
    ) -> Mapping[str, Timed]:
        """Measures graphs of a branch in turns with the reference.

        Args:
            branch: The model and the backend.
            recipes: Of the graphs; ``""`` for fp32.
            reference: Whose fp32 graph is measured beside them.
            say: Told which part of it begins.

        Returns:
            One entry for each recipe.
        """
