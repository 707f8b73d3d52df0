"""What all jobs of a quantisation share: tokenizer, calibration data, rows to measure on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge_tx import tasks
from edge_tx.answering import Prepared
from edge_tx.bundle import Bundle
from edge_tx.calibration.data import CalibrationSet, calibration_set
from edge_tx.calibration.plan import Plan
from edge_tx.errors import InvalidConfig
from edge_tx.evaluation import Evaluation
from edge_tx.examples import Example, read_examples
from edge_tx.metric_table import find_metric

if TYPE_CHECKING:
    from edge_tx.backends import Session

__all__ = ["Material"]

_RANKING = 24
_ALIKE = 64


class Material:
    """Data and measures of one bundle.

    Args:
        bundle: Open.
        plan: What is asked for.

    Raises:
        InvalidInput: A row cannot be used, or the data looks nothing like the model's input.
        UnknownName: There is no such metric.
        InvalidConfig: The metric is not for this task, or its data is missing.
    """

    def __init__(self, bundle: Bundle, plan: Plan) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.plan = plan
        self.metric = find_metric(plan.metric, manifest.task)
        self.task = tasks.create(manifest.task, manifest.settings)
        self.tokenizer = bundle.tokenizer()
        self.calibration = self._calibration()
        self.examples = self._examples()
        self._measured: dict[str, tuple[Evaluation, float]] = {}

    @cached_property
    def sample(self) -> Prepared:
        """A few inputs of all lengths, for ranking."""
        return self._prepared(self.spread(_RANKING))

    def spread(self, count: int) -> list[Any]:
        """Some of the calibration inputs, evenly."""
        inputs = self.calibration.inputs
        count = min(count, len(inputs))
        return [inputs[i * len(inputs) // count] for i in range(count)]

    def cases(self) -> list[tuple[Any, Mapping[str, Any]]]:
        """The golden inputs and some of the user's, for the manifest's parity."""
        golden = [(case.input, case.options) for case in self.bundle.golden().cases]
        return golden + [(value, self.plan.options) for value in self.spread(_ALIKE)]

    def measured(self, graph: str, open_fp32: Callable[[], Session]) -> tuple[Evaluation, float]:
        """The metric, and what an fp32 graph reaches in it; measured once for each graph.

        Args:
            graph: Name of the fp32 graph.
            open_fp32: Opens it.
        """
        if graph not in self._measured:
            evaluation = Evaluation(
                self.metric,
                self.examples,
                self.task,
                self.tokenizer,
                self.bundle.manifest.settings,
                open_fp32,
                self.plan.options,
            )
            self._measured[graph] = (evaluation, evaluation.reference_score())
        return self._measured[graph]

    def _calibration(self) -> CalibrationSet:
        plan = self.plan
        source = plan.data if plan.data is not None else plan.dev
        assert source is not None  # noqa: S101 - a plan has one of the two
        return calibration_set(
            source,
            self.bundle.manifest.task,
            self.task,
            self.tokenizer,
            samples=plan.samples,
            seed=plan.seed,
            options=plan.options,
        )

    def _examples(self) -> Sequence[Example]:
        plan, task = self.plan, self.bundle.manifest.task
        if plan.dev is not None:
            return list(read_examples(plan.dev, task, labelled=self.metric.labelled))
        if not self.metric.labelled:
            return [
                Example((value,), None, f"input {number}")
                for number, value in enumerate(self.calibration.inputs, 1)
            ]
        assert plan.data is not None  # noqa: S101 - as above
        if isinstance(plan.data, Iterator):
            raise InvalidConfig(f"{plan.metric} needs rows with labels: give them as dev")
        return list(read_examples(plan.data, task, labelled=True))

    def _prepared(self, inputs: Sequence[Any]) -> Prepared:
        return Prepared(self.task, self.tokenizer, inputs, self.plan.options)
