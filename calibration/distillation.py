"""Distillation: a small model learns to answer as a large one does.

The student is a model of its own, the teacher with fewer layers, or what pruning left of it. The
training runs on the CPU, in batches of like lengths, and goes on where it was after a kill.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge_tx.calibration.distillation_material import Material, gather
from edge_tx.calibration.distillation_outcome import Distilled, outcome
from edge_tx.calibration.distillation_plan import Training
from edge_tx.calibration.plan import Data
from edge_tx.device import usable_threads

if TYPE_CHECKING:
    from edge_tx.exporters.traced import Traced

__all__ = ["Distilled", "distill", "recover"]

_RECORD = "distillation.json"


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins, after ``done`` of ``total``."""


def distill(
    teacher: str | os.PathLike[str],
    student: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    data: Data,
    dev: Data | None = None,
    metric: str = "",
    training: Training | None = None,
    task: str | None = None,
    revision: str | None = None,
    max_length: int | None = None,
    work: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Distilled:
    """Trains a student to answer as its teacher does.

    The same call after a kill goes on where the run was, to the same weights bit for bit that
    it would have reached undisturbed (with the same torch and threads; not if ``minutes`` end
    the training).

    Args:
        teacher: A local folder, or the id of a hub repository.
        student: Another one, a pruned one too; or ``"layers=3"``, ``"layers=0,2,5"`` or
            ``"layers=search:3"`` for the teacher with fewer layers.
        output: The new folder, an ordinary one of transformers with ``distillation.json`` in it.
        data: Real inputs, a file or an iterable; labels are needed only by the loss ``labels``.
        dev: Rows to measure on, with labels if the metric needs them; a part of the data that
            is not trained on if not given.
        metric: Name of a metric; if empty, likeness to the teacher's answers.
        training: How; see there for the defaults.
        task: Name of the task; inferred from the teacher if not given.
        revision: Branch, tag or commit of the teacher's hub repository.
        max_length: Most tokens of a row in training; the teacher's own limit if not given.
        work: Keeps the run's state and the teacher's answers, and is kept; if not given, a
            folder beside the output that is removed at the end.
        threads: CPU threads; those that this process may use if not given.
        options: Call options of the task.
        progress: Told what begins.

    Raises:
        InvalidConfig: An option makes no sense, teacher and student do not fit together, the
            output is there already, or ``work`` holds another run's state.
        UnknownName: No such task or metric.
        InvalidInput: A row cannot be used, or there are too few.
        UnsupportedModel: A model cannot be read, or its layers not be told apart.
        BundleError: A folder cannot be written.
    """
    from edge_tx.calibration.distillation_folder import new_folder, write_model
    from edge_tx.calibration.distillation_state import forget_state
    from edge_tx.calibration.distillation_student import make_student, parse_student
    from edge_tx.exporters import source
    from edge_tx.exporters.checkpoint import open_checkpoint

    recipe = parse_student(student)
    asked = training or Training()
    target, say = new_folder(output), progress or _say_nothing
    say("loading the teacher", 0, 0)
    large = source.load(os.fspath(teacher), task=task, revision=revision, max_length=max_length)
    material = gather(data, dev, metric, large, asked, dict(options or {}))
    small = make_student(
        recipe, large, material.rows, dict(options or {}), _named(say, "looking for layers")
    )
    limit = min(large.policy.max_length, small.policy.max_length)
    policy = replace(large.policy, max_length=limit)
    large, small = replace(large, policy=policy), replace(small, policy=policy)
    folder = Path(work) if work is not None else target.with_name(f"{target.name}.distill")
    with _threads(threads or usable_threads()):
        done = _train(asked, large, small, material, folder, say)
    record = {"training": asked.to_dict(), "teacher": asdict(large.source)}
    record |= {name: value for name, value in done.to_dict().items() if name != "output"}
    origin = (
        open_checkpoint(recipe.folder)
        if recipe.folder
        else open_checkpoint(os.fspath(teacher), revision)
    )
    write_model(small.module.transformer, origin, target, {_RECORD: record})
    if work is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        forget_state(folder)  # the next student may use the teacher's answers
    return replace(done, output=str(output))


def recover(
    student: Traced,
    teacher: Traced,
    data: Data,
    *,
    minutes: float,
    dev: Data | None = None,
    metric: str = "",
    training: Training | None = None,
    work: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Distilled:
    """Trains what pruning left of a model to answer as the whole did, in place.

    Args:
        student: What is left.
        teacher: The whole.
        data: Real inputs; labels are needed only by the loss ``labels``.
        minutes: Most time to spend, measurements and all.
        dev: Rows to measure on; a part of the data that is not trained on if not given.
        metric: Name of a metric; if empty, likeness to the teacher's answers.
        training: How; its ``minutes`` do not count.
        work: Keeps the run's state, so that a killed run goes on; nothing is kept if not given.
        options: Call options of the task.
        progress: Told what begins.

    Returns:
        What came of it. The student has the weights that measured best, its own from before
        among them: it never measures worse afterwards.

    Raises:
        InvalidConfig: An option makes no sense, or ``work`` holds another run's state.
        InvalidInput: A row cannot be used, or there are too few.
        BundleError: The folder cannot be written.
    """
    asked = replace(training or Training(), minutes=minutes)
    material = gather(data, dev, metric, teacher, asked, dict(options or {}))
    folder = Path(work) if work is not None else None
    return _train(asked, teacher, student, material, folder, progress or _say_nothing)


def _train(
    training: Training,
    teacher: Traced,
    student: Traced,
    material: Material,
    folder: Path | None,
    say: Progress,
) -> Distilled:
    import torch

    from edge_tx.calibration.distillation_cache import TeacherAnswers
    from edge_tx.calibration.distillation_data import tokenised
    from edge_tx.calibration.distillation_objective import Objective
    from edge_tx.calibration.distillation_session import ModuleSession, evaluation
    from edge_tx.calibration.distillation_student import check_pair
    from edge_tx.calibration.distillation_training import Run

    check_pair(teacher, student, material.rows)
    say("tokenising the data", 0, 0)
    corpus = tokenised(material.rows, student, material.options, labelled=training.labelled)
    answers = None
    if folder is not None and not training.inside and TeacherAnswers.suits(teacher):
        answers = TeacherAnswers(folder, teacher, corpus)
        answers.fill(_named(say, "asking the teacher"))
    gate = evaluation(material.metric, material.held, teacher, material.options)
    reference = gate.reference_score()
    total = training.measurements

    def told(position: Any, done: float) -> None:
        say(_line(position, material.metric.name), min(total - 1, int(done * total)), total)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)  # a projection starts at random
        objective = Objective(teacher, student, training, answers)
    run = Run(
        objective, student, corpus, training, lambda: gate.score(ModuleSession(student)), told
    )
    try:
        run.go(folder, _identity(training, teacher, student, corpus.sha256, material))
    finally:
        objective.close()
    return outcome(run.position, material.metric.name, reference, teacher, student)


def _identity(
    training: Training, teacher: Traced, student: Traced, data: str, material: Material
) -> str:
    """Hash of all that decides how a run goes, its student's weights among it."""
    digest = hashlib.sha256()
    for name, weight in sorted(student.module.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.contiguous().numpy().tobytes())
    held = [(row.inputs, row.label) for row in material.held]
    weights, config = teacher.source.sha256, teacher.source.config
    asked = [training.to_dict(), weights, config, data, material.metric.name, held]
    digest.update(json.dumps(asked, default=str).encode())
    return digest.hexdigest()


def _line(position: Any, metric: str) -> str:
    last = position.history[-1]
    loss = f"loss {last['loss']:.4f}, " if "loss" in last else ""
    return f"distilling: step {last['step']}, {loss}{metric} {last['metric']:.4f}"


def _named(say: Progress, name: str) -> Any:
    return lambda done, total: say(name, done, total)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Lets torch use so many threads, and puts its own number back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
