"""The data of a distillation: rows to train on, and rows to measure on."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_tx.calibration.distillation_plan import Training, default_metric
from edge_tx.calibration.plan import Data
from edge_tx.errors import InvalidInput
from edge_tx.examples import Example, read_examples
from edge_tx.metric_table import Metric, find_metric

if TYPE_CHECKING:
    from edge_tx.exporters.traced import Traced

__all__ = ["Material", "gather"]

_LEAST = 16
_HELD_OUT = 0.05
_MOST_HELD_OUT = 1000
_FEW = 64
"""Rows that are held out of a small data set, as long as they are no more than a quarter of it:
the best of several measurements on eight rows is the luckiest, not the best."""


@dataclass(frozen=True)
class Material:
    """Rows, read once.

    Attributes:
        rows: To train on.
        held: To measure on; none of them is trained on.
        metric: To measure.
        options: Call options of the task.
    """

    rows: Sequence[Example]
    held: Sequence[Example]
    metric: Metric
    options: Mapping[str, Any]


def gather(
    data: Data,
    dev: Data | None,
    metric: str,
    teacher: Traced,
    training: Training,
    options: Mapping[str, Any],
) -> Material:
    """Reads rows; holds a part of them out if there are none to measure on.

    Args:
        data: Real inputs, a file or an iterable.
        dev: Rows to measure on; a part of the data if not given.
        metric: Name of a metric; if empty, likeness to the teacher's answers.
        teacher: The model to learn from.
        training: Whether labels are needed, and the seed of the draw.
        options: Call options of the task.

    Raises:
        UnknownName: There is no such metric.
        InvalidInput: A row cannot be used, or there are too few.
    """
    task, width = teacher.task, teacher.outputs[0].shape[-1]
    chosen = (
        find_metric(metric, task)
        if metric
        else default_metric(task, width if isinstance(width, int) else 0)
    )
    needs = training.labelled or (dev is None and chosen.labelled)
    rows = list(read_examples(data, task, labelled=needs))
    if len(rows) < _LEAST:
        raise InvalidInput(f"there are {len(rows)} rows to distil on: {_LEAST} or more are needed")
    if dev is not None:
        held = list(read_examples(dev, task, labelled=chosen.labelled))
        return Material(rows, held, chosen, options)
    rng = random.Random(training.seed)  # noqa: S311 - a sample, not a secret
    held_out = set(rng.sample(range(len(rows)), _held_out(len(rows))))
    return Material(
        [row for place, row in enumerate(rows) if place not in held_out],
        [rows[place] for place in sorted(held_out)],
        chosen,
        options,
    )


def _held_out(count: int) -> int:
    """How many of so many rows are measured on and not trained on."""
    share = max(round(_HELD_OUT * count), min(_FEW, count // 4))
    return max(_LEAST // 2, min(_MOST_HELD_OUT, share))
