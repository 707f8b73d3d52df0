"""The parity gate of one checkpoint: what every graph of it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx import tasks
from edge_tx.backends import SessionConfig, open_session
from edge_tx.device import usable_threads
from edge_tx.exporters import texts as shipped
from edge_tx.exporters.parity import BUDGETS, Budget, check, measure
from edge_tx.exporters.targets import Target
from edge_tx.exporters.traced import Exported, Traced
from edge_tx.golden import Golden, record
from edge_tx.manifest import Parity
from edge_tx.tensors import TensorSpec
from edge_tx.text import Tokenizer

__all__ = ["Gate", "Verdict"]

_GOLDEN_CASES = 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a graph that passed.

    Attributes:
        parity: Against the fp32 reference.
        inputs: What it takes, as the runtime sees it.
        outputs: What it returns, likewise.
        checks: What it was held to, and how that went, by name.
    """

    parity: Parity
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    checks: Mapping[str, str]


class Gate:
    """Holds graphs against a checkpoint.

    Args:
        traced: The checkpoint.
        own_texts: The user's own inputs; None for those that the package ships.
        budget: How far off a graph may be; None for :data:`~edge_tx.exporters.parity.BUDGETS`.

    Raises:
        InvalidInput: An input is not what the task takes.
    """

    def __init__(
        self, traced: Traced, own_texts: Sequence[Any] | None, budget: Budget | None
    ) -> None:
        self._traced = traced
        self._budget = budget
        self._task = tasks.create(traced.task, traced.settings)
        self._tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
        self._options = shipped.options_for(traced.task)
        self._inputs = own_texts or shipped.inputs_for(traced.task, self._tokenizer)
        #: Tokens of each row that the inputs become.
        self.lengths = self._row_lengths()

    def verdict(self, target: Target, made: Exported) -> Verdict:
        """Lets a graph pass.

        Raises:
            ParityFailed: It is over its budget.
            SessionFailed: The runtime refuses it.
        """
        # Where another backend proves it, on the device that every machine has.
        device = "cpu" if target.row.proven_by else "auto"
        config = SessionConfig(device=device, threads=usable_threads())
        budget = self._budget or BUDGETS.get(made.precision, Budget())
        session = open_session(target.prover.name, made.entry, config)
        try:
            measured = measure(
                self._traced, session, self._task, self._tokenizer, self._inputs, self._options
            )
            where = session.placement()
            return Verdict(
                parity=check(measured, budget, target.name),
                inputs=session.inputs,
                outputs=session.outputs,
                checks={"parity": f"{where.runtime}, {where.provider}", **made.checks},
            )
        finally:
            session.close()

    def golden(self) -> Golden:
        """Answers of the reference, for inputs spread over all there are."""
        count = min(_GOLDEN_CASES, len(self._inputs))
        spread = [self._inputs[i * len(self._inputs) // count] for i in range(count)]
        run = self._traced.reference
        return Golden(
            tuple(
                record(value, self._options, tokenizer=self._tokenizer, task=self._task, run=run)
                for value in spread
            )
        )

    def _row_lengths(self) -> tuple[int, ...]:
        chosen = self._task.options(**self._options)
        items = [self._task.parse(value, chosen) for value in self._inputs]
        return tuple(len(row.ids) for row in self._task.encode(self._tokenizer, items, chosen))
