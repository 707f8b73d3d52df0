"""A torch module where a graph is expected, so that metrics can be had before any export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_tx import tasks
from edge_tx.backends import Placement
from edge_tx.evaluation import Evaluation
from edge_tx.examples import Example
from edge_tx.exporters.traced import Traced
from edge_tx.metric_table import Metric
from edge_tx.tensors import Array, TensorSpec
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    import torch

__all__ = ["ModuleSession", "evaluation"]


class ModuleSession:
    """A checkpoint as a :class:`~edge_tx.backends.Session`.

    Args:
        traced: The checkpoint.
        module: Instead of the checkpoint's own, with the same inputs and outputs.
    """

    def __init__(self, traced: Traced, module: torch.nn.Module | None = None) -> None:
        self._traced = traced if module is None else replace(traced, module=module)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """``int64[batch, seq]`` each."""
        return self._traced.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The head's."""
        return self._traced.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the module on arrays by input name."""
        return self._traced.reference(feeds)

    def placement(self) -> Placement:
        """The CPU, by torch."""
        import torch

        threads = torch.get_num_threads()
        return Placement("torch", "cpu", "torch", threads, 1, f"torch {torch.__version__}")

    def close(self) -> None:
        """Nothing to free."""


def evaluation(
    metric: Metric,
    examples: Sequence[Example],
    traced: Traced,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """A metric over examples; a metric without labels compares with the checkpoint as it is now.

    Args:
        metric: Of the table.
        examples: With labels, if the metric needs them.
        traced: The model, or the teacher whose answers stand for labels.
        options: Call options of the task.

    Raises:
        InvalidInput: There is no example, or one of them or its label cannot be used.
    """
    task = tasks.create(traced.task, traced.settings)
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    return Evaluation(
        metric,
        examples,
        task,
        tokenizer,
        traced.settings,
        lambda: ModuleSession(traced),
        options,
    )
