"""Structured pruning: heads, FFN neurons and layers go, and the graph is dense and smaller.

Nothing is trained unless asked for. One pass over real inputs tells how much each head and neuron
matters (:mod:`~edge_tx.calibration.pruning_statistics`), a search says which go within a budget
(:mod:`~edge_tx.calibration.pruning_search`), and what is left is fitted to what the whole gave
(:mod:`~edge_tx.calibration.pruning_tuning`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge_tx.calibration.plan import Data
from edge_tx.calibration.pruning_plan import Plan, exporting, parse_layers
from edge_tx.device import usable_threads
from edge_tx.errors import AccuracyGateFailed

if TYPE_CHECKING:
    from edge_tx.calibration.pruning_outcome import Pruned

__all__ = ["Progress", "load", "prune"]


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins, after ``done`` of ``total``."""


def prune(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    data: Data,
    target_flops: float | None = None,
    target_latency: float | None = None,
    heads: int | None = None,
    ffn: int | None = None,
    layers: tuple[int, ...] | int | str | None = None,
    plain: bool = False,
    method: str = "surgeon",
    backend: str = "onnx",
    measure: tuple[str, ...] = (),
    dev: Data | None = None,
    metric: str = "",
    max_drop: float | None = None,
    recover: float | None = None,
    samples: int = 2048,
    seq: int = 128,
    seed: int = 0,
    threads: int | None = None,
    task: str | None = None,
    revision: str | None = None,
    options: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Pruned:
    """Makes a model smaller and faster without training it, or with ``recover`` minutes of it.

    Args:
        model: A local folder, or the id of a hub repository.
        output: The new folder: an ordinary one of transformers, with ``pruning.json`` in it.
            If its layers differ, transformers needs :func:`load` to read it; ``edge-tx
            export`` reads it as it is.
        data: Real inputs, a file or an iterable; labels are not needed.
        target_flops: Share of the layers' floating-point operations that may be left.
        target_latency: Share of the model's time that may be left, by a table of times that is
            measured here.
        heads: Heads that each layer keeps.
        ffn: Neurons that each layer keeps.
        layers: Layers that stay: their numbers, or how many, evenly spread; ``"search:4"`` for
            the four that are missed most.
        plain: All layers keep their heads and have one FFN width, so that transformers alone
            can load the model.
        method: ``"surgeon"`` or ``"fisher"``.
        backend: That measures layers for ``target_latency``.
        measure: Backends that time the model before and after.
        dev: Rows to measure on, with labels if the metric needs them; the data if not given.
        metric: Name of a metric; nothing is measured if empty.
        max_drop: Most that the metric may fall; a smaller cut is searched if it falls more.
        recover: Minutes for which each cut is trained to answer as the whole model does, before
            its metric is taken. A killed run that is started again goes on with that training:
            its state is in a folder beside the output until the end.
        samples: Most inputs to look at.
        seq: Tokens of a text that operations are counted and layers are timed at.
        seed: The same data and seed give the same model.
        threads: CPU threads to measure with; those that this process may use if not given.
        task: Name of the task; inferred if not given.
        revision: Branch, tag or commit of a hub repository.
        options: Call options of the task.
        progress: Told what begins.

    Raises:
        UnknownName: No such method, backend, metric or task.
        InvalidConfig: Options do not go together, a target is out of reach, or the folder is
            there already.
        InvalidInput: A row cannot be used, or the data looks nothing like the model's input.
        UnsupportedModel: The model cannot be read, or not be pruned.
        AccuracyGateFailed: No cut worth making holds the metric. Nothing was written.
        MissingDependency: A package is not installed.
        BundleError: The folder cannot be written.
    """
    from edge_tx.calibration.distillation_folder import new_folder, write_model
    from edge_tx.exporters import source
    from edge_tx.exporters.checkpoint import open_checkpoint

    target = new_folder(output)
    plan = Plan(
        _kept(data),
        target_flops,
        target_latency,
        heads,
        ffn,
        parse_layers(layers) if isinstance(layers, str) else layers,
        plain,
        method,
        exporting(backend) if target_latency is not None else None,
        tuple(exporting(name) for name in dict.fromkeys(measure)),
        dev,
        metric,
        max_drop,
        samples,
        seq,
        seed,
        threads or usable_threads(),
        dict(options or {}),
        recover,
        None if recover is None else target.with_name(f"{target.name}.recover"),
    )
    say = progress or _say_nothing
    say("loading the model", 0, 0)
    traced = source.load(os.fspath(model), task=task, revision=revision)
    from edge_tx.calibration.pruning_job import Job
    from edge_tx.exporters.network import without_bars

    job = Job(plan, traced, say)
    try:
        best = job.run()
    except AccuracyGateFailed:  # an end: what the run was going on from would be in the next's way
        if plan.work is not None:
            shutil.rmtree(plan.work, ignore_errors=True)
        raise
    done = job.outcome(best, str(output))
    record = {key: value for key, value in done.to_dict().items() if key != "output"}
    origin = open_checkpoint(os.fspath(model), revision)
    say("writing the folder", 0, 0)
    with without_bars():
        write_model(best.module.transformer, origin, target, {"pruning.json": record})
    if plan.work is not None:
        shutil.rmtree(plan.work, ignore_errors=True)
    return done


def load(folder: str | os.PathLike[str], **options: Any) -> Any:
    """Loads a pruned folder as a model of transformers, whatever shapes its layers have.

    ``from edge_tx.calibration import pruning; model = pruning.load("pruned")``

    Args:
        folder: That :func:`prune` wrote; any other folder of transformers, too.
        options: Of transformers' ``from_pretrained``.

    Raises:
        InvalidConfig: There is no such folder.
        UnsupportedModel: It is damaged, or names no class of transformers.
    """
    from edge_tx.exporters.pruned import load_model

    return load_model(Path(folder), **options)


def _kept(data: Data) -> Data:
    """Data that can be read more than once."""
    return list(data) if isinstance(data, Iterator) else data


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
