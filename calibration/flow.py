"""The quantisation flow: bundle, calibration data, quantizer, gates, bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.calibration.gate import Progress
from edge_tx.calibration.job import Job
from edge_tx.calibration.material import Material
from edge_tx.calibration.outcome import Outcome, Quantization
from edge_tx.calibration.plan import Data, make_plan
from edge_tx.calibration.recipe import Recipe
from edge_tx.device import usable_threads
from edge_tx.errors import EdgeTxError

__all__ = ["quantize"]


def quantize(
    bundle: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    backend: str | Sequence[str] = "onnx",
    recipe: str | Recipe | Sequence[str | Recipe] = "dynamic_w8",
    data: Data | None = None,
    dev: Data | None = None,
    metric: str = "cosine",
    max_drop: float = 0.01,
    target: str = "host",
    goal: str = "speed",
    keep: bool = False,
    samples: int = 256,
    seed: int = 0,
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Quantization:
    """Adds quantised graphs to a bundle, each behind an accuracy gate.

    A backend that fails does not lose the others: its error is in its outcome.

    Args:
        bundle: A bundle with an fp32 graph of each backend.
        output: Where the bundle with the new graphs goes; in the place of the old one if not
            given. A graph replaces its namesake.
        backend: Names of backends.
        recipe: Names of recipes, with options of your own: see
            :mod:`edge_tx.calibration.recipe`.
        data: Real inputs to calibrate on, a file or an iterable; static recipes need them.
        dev: Rows to measure on, with labels if the metric needs them; ``data`` if not given.
        metric: Name of the metric; ``cosine`` and ``agreement`` need no labels.
        max_drop: Most that the metric may fall below the fp32 graph's; 0.01 is a point.
        target: The device that the graphs are for: ``"host"`` is this one.
        goal: ``"speed"`` writes a graph only if it is faster here by
            :data:`~edge_tx.calibration.speed.WORTH`, ``"size"`` in any case.
        keep: Write it in any case, too.
        samples: Most inputs to calibrate on.
        seed: Of the sample.
        threads: CPU threads to measure with; by default those that this process may use.
        options: Call options of the task, e.g. the labels of a zero-shot classifier.
        progress: Told what begins.

    Returns:
        The bundle, open, and what came of each backend and recipe.

    Raises:
        UnknownName: No such backend, recipe, metric or target.
        InvalidConfig: An option makes no sense, or data is missing.
        InvalidInput: A row cannot be used, or the data looks nothing like the model's input.
        BundleError: The bundle cannot be read or written.
        EdgeTxError: What the first backend failed with, if all of them failed:
            AccuracyGateFailed, say. Nothing was written.
    """
    plan = make_plan(
        backend,
        recipe,
        data=data,
        dev=dev,
        metric=metric,
        max_drop=max_drop,
        target=target,
        goal=goal,
        keep=keep,
        samples=samples,
        seed=seed,
        threads=usable_threads() if threads is None else threads,
        options=dict(options or {}),
    )
    opened = Bundle.open(bundle)
    material = Material(opened, plan)
    with BundleWriter(output or opened.origin) as writer:
        writer.adopt(opened)
        outcomes = tuple(
            _attempt(Job(row, wanted, material, writer, progress or _say_nothing))
            for row, wanted in plan.jobs
        )
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        if len(errors) == len(outcomes):
            raise errors[0]
        if any(outcome.written for outcome in outcomes):
            opened = writer.commit_like(opened)
    return Quantization(opened, outcomes)


def _attempt(job: Job) -> Outcome:
    try:
        return job.run()
    except EdgeTxError as exc:
        return job.failed(exc)


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
