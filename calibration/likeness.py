"""How far a quantised graph's answers are from the fp32 graph's, for the manifest.

Every input runs alone and unpadded, as the golden answers do: what is recorded here is what
``edge-tx verify`` allows on another device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import golden
from edge_tx.errors import ParityFailed
from edge_tx.manifest import Parity
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.tasks import Task
    from edge_tx.text import Tokenizer

__all__ = ["likeness"]

Case = tuple[Any, Mapping[str, Any]]


def likeness(
    reference: Session, session: Session, task: Task, tokenizer: Tokenizer, cases: Sequence[Case]
) -> Parity:
    """Compares two graphs.

    Args:
        reference: The fp32 graph.
        session: The other.
        task: Of both.
        tokenizer: Of both.
        cases: Inputs, each with its call options; one at least.

    Raises:
        ParityFailed: The other graph gives NaN or infinity.
        SessionFailed: The vendor's runtime failed.
    """

    def ask(run: Callable[[Mapping[str, Array]], Mapping[str, Array]]) -> list[golden.Answered]:
        return [golden.answer(value, opts, tokenizer, task, run) for value, opts in cases]

    wanted, got = ask(reference.run), ask(session.run)
    errors, cosines, largest = [], [], 0.0
    for (value, _), one, other in zip(cases, wanted, got, strict=True):
        pairs = list(_pairs(one, other))
        if not all(np.isfinite(array).all() for _, array in pairs):
            raise ParityFailed(f"the graph gives NaN or infinity for {_shown(value)}")
        errors.append(max(float(np.abs(a - b).max()) for a, b in pairs))
        cosines.append(min(golden.compare(golden.GoldenArray.of(a), b)[1] for a, b in pairs))
        largest = max(largest, *(float(np.abs(a).max()) for a, _ in pairs))
    limits = {"number": golden.MARGIN * max(errors), "tie": golden.TOLERANCE * largest}
    same = [
        not golden.unlike(one.result, other.result, **limits)
        for one, other in zip(wanted, got, strict=True)
    ]
    return Parity(
        texts=len(cases),
        max_abs_error=max(errors),
        min_cosine=min(cosines),
        agreement=sum(same) / len(same),
        worst=_shown(cases[int(np.argmax(errors))][0]),
    )


def _pairs(one: golden.Answered, other: golden.Answered) -> list[tuple[Array, Array]]:
    return [
        (wanted[name], got[name])
        for wanted, got in zip(one.outputs, other.outputs, strict=True)
        for name in wanted
    ]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:45]}... ({len(text)} characters)"
