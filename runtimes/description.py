"""What a model says of itself; imported when it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from edge_tx.backends import Placement
from edge_tx.runtimes.selection import Candidate

__all__ = ["Description"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is and where it runs.

    Attributes:
        task: Name of the task.
        source: Name of the checkpoint.
        graph: Name of the graph that was chosen.
        precision: Of the graph.
        reason: Why that graph.
        candidates: The graphs that came into question, with what spoke against each.
        warning: Why a measurement that is there was not used; empty if all is well.
        placement: Where it runs, as the vendor's runtime says.
        max_length: Most tokens of an input.
        stamp: Embeddings of different stamps must not be compared; see :mod:`edge_tx.stamps`.
    """

    task: str
    source: str
    graph: str
    precision: str
    reason: str
    candidates: tuple[Candidate, ...]
    warning: str
    placement: Placement
    max_length: int
    stamp: str
