"""A metric over a data set, ready to be asked of graph after graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge_tx.answering import Prepared
from edge_tx.errors import InvalidInput
from edge_tx.examples import Example
from edge_tx.manifest import TaskSettings
from edge_tx.metric_table import Answered, Metric
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.tasks import Task

__all__ = ["Evaluation"]


class Evaluation:
    """A metric over examples, ready to be asked of graph after graph.

    Args:
        metric: Of the table.
        examples: With labels, if the metric needs them.
        task: Of the graphs.
        tokenizer: Of the graphs.
        settings: Of the model.
        reference: Opens the fp32 graph; asked for once, if the metric needs no labels.
        options: Call options, e.g. the labels of a zero-shot classifier.

    Raises:
        InvalidInput: There is no example, or one of them or its label cannot be used.
    """

    def __init__(
        self,
        metric: Metric,
        examples: Sequence[Example],
        task: Task,
        tokenizer: Tokenizer,
        settings: TaskSettings,
        reference: Callable[[], Session],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not examples:
            raise InvalidInput(f"there is no example to measure {metric.name} on: give some rows")
        self.metric = metric
        self._examples = examples
        self._settings = settings
        self._reference = reference
        inputs = [value for example in examples for value in example.inputs]
        places = [example.place for example in examples for _ in example.inputs]
        chosen = {**metric.options(examples), **(options or {})}
        self._prepared = Prepared(task, tokenizer, inputs, chosen, places)
        if metric.labelled and (why := metric.undefined(self._expected)):
            raise InvalidInput(f"{metric.name} says nothing of these rows: {why}; give others")

    def __len__(self) -> int:
        return len(self._examples)

    def score(self, session: Session) -> float:
        """The metric of a graph.

        Raises:
            SessionFailed: The vendor's runtime failed.
        """
        return float(self.metric.score(self._expected, self._predictions(session)))

    def reference_score(self) -> float:
        """The metric of the fp32 graph: 1 where its answers stand for the labels.

        Raises:
            SessionFailed: The vendor's runtime failed.
        """
        if not self.metric.labelled:
            return 1.0
        session = self._reference()
        try:
            return self.score(session)
        finally:
            session.close()

    @cached_property
    def _expected(self) -> Sequence[Any]:
        if self.metric.labelled:
            return [self.metric.expected(example, self._settings) for example in self._examples]
        session = self._reference()
        try:
            return self._predictions(session)
        finally:
            session.close()

    def _predictions(self, session: Session) -> list[Any]:
        answers = self._prepared.answers(session)
        found = []
        for example in self._examples:
            results, outputs = zip(*(next(answers) for _ in example.inputs), strict=True)
            found.append(self.metric.predict(Answered(results, outputs), example))
        return found
