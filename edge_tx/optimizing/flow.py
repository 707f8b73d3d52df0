"""The recipe: prune, distil, export, quantise, measure; keep the best within the budget."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edge_tx
from edge_tx.bundle import Bundle
from edge_tx.calibration.plan import Data
from edge_tx.calibration.recipe import parse
from edge_tx.destination import destination
from edge_tx.device import DeviceInfo, usable_threads
from edge_tx.errors import AccuracyGateFailed, EdgeTxError, ExportFailed, InvalidConfig
from edge_tx.optimizing.aims import aim_of
from edge_tx.optimizing.delivery import deliver, record_path
from edge_tx.optimizing.front import Front, Point, holds
from edge_tx.optimizing.journal import Journal, alone
from edge_tx.optimizing.material import Material, gather, metric_for
from edge_tx.optimizing.outcome import Optimized
from edge_tx.optimizing.plan import LEVELS, Branch, Plan, backends_for, recipes_for
from edge_tx.optimizing.seam import Begun, Progress
from edge_tx.optimizing.walk import Walk
from edge_tx.optimizing.workshop import LocalWorkshop, Origin

if TYPE_CHECKING:
    from edge_tx.exporters.checkpoint import Checkpoint

__all__ = ["optimize", "work_folder_for"]

_TOOLS = ("torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "litert-torch",
          "ai-edge-litert", "ai-edge-quantizer")  # fmt: skip
"""Packages whose versions decide what a step makes."""

_KINDS = (".json", ".model", ".safetensors", ".txt")


def optimize(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    data: Data,
    dev: Data | None = None,
    metric: str = "",
    max_drop: float = 0.01,
    target: str = "latency",
    to: str | Sequence[str] = (),
    recipes: Sequence[str] | None = None,
    levels: Sequence[float] = LEVELS,
    recover: float | None = None,
    minutes: float | None = None,
    work: str | os.PathLike[str] | None = None,
    samples: int = 2048,
    seed: int = 0,
    threads: int | None = None,
    seconds: float = 0.5,
    task: str | None = None,
    revision: str | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Optimized:
    """Finds the smallest or fastest form of a model on this device that still answers well.

    Walks backends, precisions and pruning, measures every graph, and keeps the best one whose
    metric holds. The same call after an interruption or a kill goes on after the last finished
    step, and comes to the same front. A call with other levels, another target or limit, or fewer
    or more backends and recipes uses what was done, too.

    Args:
        model: A local folder, or the id of a hub repository.
        output: Where the bundle goes; the record of the front is written beside it, as
            ``<output>.front.json`` and ``.html``.
        data: Real inputs to prune, distil and calibrate with, a file or an iterable.
        dev: Rows to measure on, with labels if the metric needs them; a quarter of the data
            that is then used for nothing else if not given.
        metric: Name of the metric; if empty, the task's first where the rows have labels, else
            likeness to the whole model's answers.
        max_drop: Most that the metric may fall below the whole model's; 0.01 is a point.
        target: ``"latency"`` of single calls, ``"size"`` of the graph's files, or ``"memory"``
            at the peak.
        to: Names of backends; all that can export and run on this CPU if empty.
        recipes: Ways to quantise (:mod:`edge_tx.calibration.recipe`); None for those that the
            target suggests, empty for none.
        levels: Shares of the layers' operations that pruning leaves, the largest first; empty
            for no pruning.
        recover: Minutes of distillation for each pruned model; None for none.
        minutes: Most time to spend, all runs together; a step that has begun is finished, and
            what was made is measured. None for no limit.
        work: Keeps the journal and the models, and is kept; if not given, a folder beside the
            output that is removed at the end.
        samples: Most inputs to prune with; calibration takes at most 256 of them.
        seed: Of all samples.
        threads: CPU threads; those that this process may use if not given.
        seconds: Time to spend at least on each kind of call of a measurement, each turn.
        task: Name of the task; inferred if not given.
        revision: Branch, tag or commit of a hub repository.
        options: Call options of the task.
        progress: Told what begins and what came of it.

    Returns:
        The best graph, and the front it was taken from.

    Raises:
        UnknownName: No such target, backend, recipe, metric or task.
        InvalidConfig: An option makes no sense; the work folder holds a run with other settings
            (says which); the time was over before anything smaller was made.
        InvalidInput: A row cannot be used, or there are too few.
        UnsupportedModel: The checkpoint cannot be read.
        MissingDependency: A package is not installed.
        ExportFailed: No backend could run the whole model.
        AccuracyGateFailed: Nothing smaller holds the metric. Nothing was written.
        BundleError: A folder cannot be written.
    """
    from edge_tx.exporters.checkpoint import open_checkpoint
    from edge_tx.exporters.settings import read_settings
    from edge_tx.exporters.task_inference import infer

    aim, place = aim_of(target), destination(output)
    names = [name for name in (to.split(",") if isinstance(to, str) else to) if name]
    rows = backends_for(names)
    checkpoint = open_checkpoint(os.fspath(model), revision)
    origin = Origin(os.fspath(model), infer(checkpoint, task), checkpoint.revision or None)
    material = gather(data, dev, origin.task, seed)
    plan = Plan(
        aim,
        max_drop,
        recipes_for(rows, recipes, aim),
        tuple(levels),
        metric_for(metric, material, read_settings(checkpoint, origin.task)),
        recover,
        minutes,
        samples,
        seed,
        threads or usable_threads(),
        seconds,
        dict(options or {}),
    )
    folder = Path(work) if work is not None else work_folder_for(place)
    journal = Journal(folder, _settings(plan, checkpoint, origin, material))
    with alone(folder), _removed_at_the_end(folder if work is None else None):
        workshop = LocalWorkshop(origin, material, plan, folder)
        return _walked(plan, workshop, journal, place, progress or _say_nothing)


def work_folder_for(output: Path) -> Path:
    """Where the work is kept if no folder is named."""
    return output.with_name(f"{output.name}.optimize")


@contextlib.contextmanager
def _removed_at_the_end(folder: Path | None) -> Iterator[None]:
    """Removes a work folder when the walk has come to its end, well or not.

    Whatever else ends it (Ctrl-C, a full disk, the time limit) leaves the folder to go on with.
    """
    over = True
    try:
        yield
    except (AccuracyGateFailed, ExportFailed):
        raise
    except BaseException:
        over = False
        raise
    finally:
        if over and folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _walked(
    plan: Plan, workshop: LocalWorkshop, journal: Journal, output: Path, tell: Progress
) -> Optimized:
    walk = Walk(plan, workshop, journal, tell)
    points = walk.run()
    front = Front.of(points, plan.max_drop, plan.aim.name)
    whole = _whole(points, walk.reference, plan)
    best = front.best or whole
    if not any(point.changed and _stands(point, plan) for point in points):
        raise _nothing_smaller(points, best, plan, journal.folder)
    done = Optimized(
        output,
        best,
        whole,
        front,
        plan.aim,
        plan.metric,
        plan.max_drop,
        journal.seconds,
        record_path(output),
        {p.model: left for p in points if (left := workshop.left(p.kept)) is not None},
    )
    tell(Begun("writing the bundle"))
    with Bundle.open(workshop.bundle(Branch(best.kept, best.backend))) as source:
        deliver(source, workshop.graph(source, best.recipe), output, done)
    tell(Begun("writing the bundle", result="written"))
    return done


def _stands(point: Point, plan: Plan) -> bool:
    return plan.aim.name in point.costs and holds(point, plan.max_drop)


def _whole(points: Sequence[Point], reference: Branch | None, plan: Plan) -> Point:
    """The whole model's fp32 graph that all is compared with."""
    for point in points:
        if reference == Branch(point.kept, point.backend) and not point.recipe:
            if plan.aim.name in point.costs:
                return point
            raise ExportFailed(f"{point.name} could not be measured here: {point.problem}")
    told = "; ".join(f"{p.name}: {p.problem}" for p in points if p.tried and p.problem)
    raise ExportFailed(f"no backend could run the whole model: {told}")


def _nothing_smaller(points: Sequence[Point], best: Point, plan: Plan, folder: Path) -> EdgeTxError:
    tried = [point for point in points if point.changed and point.tried]
    if not tried:  # there is always something to try, if there is time
        return InvalidConfig(
            f"the {plan.minutes:g} minutes were over before anything smaller was made: the same "
            f"call with more minutes goes on ({folder})"
        )
    told = ", ".join(_shortfall(point) for point in tried)
    return AccuracyGateFailed(
        f"nothing smaller holds {plan.metric} within {plan.max_drop:g} of the whole model "
        f"({told}): allow a larger drop, give more data, or minutes to recover; edge-tx export "
        f"--to {best.backend} writes the best unchanged graph"
    )


def _shortfall(point: Point) -> str:
    if point.drop is not None:
        return f"{point.name} falls by {point.drop:.4f}"
    return f"{point.name} {'is over it' if point.over else 'failed'}"


def _settings(
    plan: Plan, checkpoint: Checkpoint, origin: Origin, material: Material
) -> dict[str, str]:
    """All that a step depends on.

    Not among it is what only decides which steps there are: levels, target and time limit. A
    backend is named by its place, as the first one that can is what all others are compared with:
    they may be dropped from the end, or added there. A recipe is named by its kind, as a bundle
    holds one graph of each.
    """
    from edge_tx.exporters.files import sha256_of

    cpu = DeviceInfo.probe().cpu
    return {
        "model": f"{checkpoint.name} {sha256_of(_files(checkpoint))[:16]}",
        "task": origin.task,
        "data": material.sha256[:16],
        "metric": plan.metric,
        "max_drop": f"{plan.max_drop:g}",
        **{f"backend {place}": name for place, name in enumerate(plan.recipes, 1)},
        **{parse(recipe).name: recipe for own in plan.recipes.values() for recipe in own},
        "recover": "no" if plan.recover is None else f"{plan.recover:g} minutes",
        "samples": str(plan.samples),
        "seed": str(plan.seed),
        "threads": str(plan.threads),
        "seconds": f"{plan.seconds:g}",
        "options": json.dumps(dict(plan.options), sort_keys=True, default=str),
        "processor": f"{cpu.model} ({cpu.usable_threads} threads)",
        "versions": _versions(),
    }


def _files(checkpoint: Checkpoint) -> list[Path]:
    """Weights, configs and vocabularies; an output inside the model's folder is not among them."""
    folders = {checkpoint.folder, checkpoint.transformer}
    folders |= {checkpoint.folder / module.path for module in checkpoint.modules}
    near = {path for folder in folders if folder.is_dir() for path in folder.iterdir()}
    own = {path for path in near if path.suffix in _KINDS and path.is_file()}
    return sorted(own | set(checkpoint.weights))


def _versions() -> str:
    known = {name: _version(name) for name in _TOOLS}
    found = {"edge_tx": edge_tx.__version__, **known}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _say_nothing(_begun: Begun) -> None:
    pass
