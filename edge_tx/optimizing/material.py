"""The data of an optimisation: rows to work with, and other rows to measure on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx.calibration.distillation_plan import default_metric
from edge_tx.calibration.plan import Data
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.examples import read_examples
from edge_tx.manifest import TaskSettings
from edge_tx.metric_table import find_metric, usual_metric
from edge_tx.records import records
from edge_tx.strict_json import dumps, encode

__all__ = ["Material", "gather", "metric_for"]

_HELD_OUT = 0.25
_MOST_HELD_OUT = 1000
_LEAST = 8


@dataclass(frozen=True)
class Material:
    """Rows, read once.

    Attributes:
        task: Name of the task that they are for.
        train: Values to prune, distil and calibrate with.
        dev: Values to measure on.
        sha256: Hash of both.
    """

    task: str
    train: Sequence[Any]
    dev: Sequence[Any]
    sha256: str

    @property
    def labelled(self) -> bool:
        """Whether every row that is measured on has a label."""
        return all(row.label is not None for row in read_examples(self.dev, self.task))

    def spread(self, count: int) -> tuple[Any, ...]:
        """Some inputs of the task, of all places of the data."""
        inputs = [value for row in read_examples(self.dev, self.task) for value in row.inputs]
        count = min(count, len(inputs))
        return tuple(inputs[i * len(inputs) // count] for i in range(count))


def gather(data: Data, dev: Data | None, task: str, seed: int) -> Material:
    """Reads rows; holds a part of them out if there are none to measure on.

    Args:
        data: A file or an iterable.
        dev: Rows to measure on; None for a quarter of the data, at most 1,000, drawn by seed,
            which is then used for nothing else.
        task: Name of the task.
        seed: Of the draw.

    Raises:
        InvalidInput: A row cannot be used, or there are too few.
        MissingDependency: Reading Parquet needs pyarrow.
    """
    rows = [record.value for record in records(data)]
    if len(rows) < _LEAST:
        raise InvalidInput(f"there are {len(rows)} rows to work with: {_LEAST} or more are needed")
    if dev is None:
        count = min(_MOST_HELD_OUT, round(_HELD_OUT * len(rows)))
        drawn = random.Random(seed).sample(range(len(rows)), count)  # noqa: S311 - no secret
        held = set(drawn)
        measured = [rows[place] for place in sorted(held)]
        rows = [row for place, row in enumerate(rows) if place not in held]
    else:
        measured = [record.value for record in records(dev)]
    if not measured:
        raise InvalidInput("there is no row to measure on: dev is empty")
    sha256 = hashlib.sha256(dumps(encode([rows, measured]))).hexdigest()
    material = Material(task, rows, measured, sha256)
    for values in (rows, measured):
        for _ in read_examples(values, task):  # a wrong row is found now, not in an hour
            pass
    return material


def metric_for(name: str, material: Material, settings: TaskSettings) -> str:
    """The metric to hold: the one that is named, or what the data allows.

    With labels, the first metric of the task that takes them; else likeness to the whole
    model's answers.

    Args:
        name: As it was given; empty for none.
        material: The rows.
        settings: Of the model, e.g. its labels.

    Raises:
        UnknownName: There is none of that name.
        InvalidConfig: It is not for this task, or the task has none without labels.
        InvalidInput: It needs labels, and a row has none or one that it does not take.
    """
    if name:
        metric = find_metric(name, material.task)
        if metric.labelled:
            for example in read_examples(material.dev, material.task, labelled=True):
                metric.expected(example, settings)
        return name
    examples = list(read_examples(material.dev, material.task))
    usual = usual_metric(material.task, examples, settings) if material.labelled else None
    if usual is not None:
        return usual.name
    if material.task == "text-ranking":
        raise InvalidConfig("scores of pairs need labels to be measured by: give rows with a score")
    return default_metric(material.task, 0).name
