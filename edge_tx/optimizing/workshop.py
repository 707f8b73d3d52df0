"""The work of a walk: pruning, distilling, exporting, quantising and measuring, for real.

Everything lies in one work folder::

    models/0.65, models/0.65-recovered      pruned checkpoints
    bundles/0.65-onnx                       an fp32 graph and those quantised from it
    distilling/0.65                         the state of a training that is under way

Each step leaves its result in one move, so that a kill leaves it whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_tx import backends, tasks
from edge_tx.backends import SessionConfig
from edge_tx.bench import runner, tuning
from edge_tx.bench.sweep import Axes
from edge_tx.bundle import Bundle
from edge_tx.errors import AccuracyGateFailed, BundleError, EdgeTxError, InvalidInput
from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.manifest import Graph
from edge_tx.metric_table import find_metric
from edge_tx.optimizing.journal import Made, Timed
from edge_tx.optimizing.material import Material
from edge_tx.optimizing.plan import Branch, Plan
from edge_tx.optimizing.seam import Say
from edge_tx.views import pruning
from edge_tx.views.pruning import Pruning

__all__ = ["LocalWorkshop", "Origin"]

_MEASURED = 64
_CALIBRATED = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """The model as it is.

    Attributes:
        model: A folder or a hub id, as it was given.
        task: Name of its task.
        revision: Of a hub repository; None for the newest.
    """

    model: str
    task: str
    revision: str | None = None


class LocalWorkshop:
    """Does the work in this process, and measures in fresh ones.

    Args:
        origin: The model as it is.
        material: Data to work with and to measure on.
        plan: What is asked for.
        folder: Of the work.
    """

    def __init__(self, origin: Origin, material: Material, plan: Plan, folder: Path) -> None:
        self._origin = origin
        self._material = material
        self._plan = plan
        self._folder = folder
        self._evaluation: Evaluation | None = None
        self._whole: float | None = None

    def bundle(self, branch: Branch) -> Path:
        """Where a branch's graphs are."""
        return self._folder / "bundles" / f"{branch.kept:g}-{branch.backend}"

    def prune(self, kept: float, say: Say) -> Made:
        """Makes a model of which so much is left, and measures it."""
        from edge_tx.calibration.pruning import prune

        plan, origin = self._plan, self._origin
        try:
            done = prune(
                origin.model,
                _fresh(self._model(kept)),
                data=self._material.train,
                dev=self._material.dev,
                metric=plan.metric,
                target_flops=kept,
                measure=(),  # every graph is measured later
                samples=plan.samples,
                seed=plan.seed,
                threads=plan.threads,
                task=origin.task,
                revision=origin.revision,
                options=dict(plan.options),
                progress=_counted(say),
            )
        except EdgeTxError as exc:
            return _failed(exc)
        return Made(done.score_after, done.score_before)

    def recover(self, kept: float, say: Say) -> Made:
        """Trains that model to answer as the whole one does, and measures it."""
        from edge_tx.calibration.distillation import distill
        from edge_tx.calibration.distillation_plan import Training

        plan, origin = self._plan, self._origin
        try:
            done = distill(
                origin.model,
                self._model(kept),
                _fresh(self._recovered(kept)),
                data=self._material.train,
                dev=self._material.dev,
                metric=plan.metric,
                training=Training(minutes=plan.recover, seed=plan.seed),
                task=origin.task,
                revision=origin.revision,
                work=self._folder / "distilling" / f"{kept:g}",
                threads=plan.threads,
                options=dict(plan.options),
                progress=_counted(say),
            )
        except EdgeTxError as exc:
            return _failed(exc)
        return Made(done.after, done.teacher)

    def export(self, branch: Branch, reference: Branch, say: Say) -> Made:
        """Makes an fp32 graph of a model and measures its score."""
        from edge_tx.exporters.pipeline import export

        whole = branch.kept >= 1
        try:
            bundle = export(
                self._origin.model if whole else self._best_model(branch.kept),
                self.bundle(branch),
                task=self._origin.task,
                to=(branch.backend,),
                revision=self._origin.revision if whole else None,
                progress=lambda step: say(step.name),
            )
            graph = bundle.graph()
            say(f"measuring its {self._plan.metric}")
            return self._scored(bundle, graph, reference)
        except EdgeTxError as exc:
            return _failed(exc)

    def quantize(
        self, branch: Branch, recipe: str, budget: float, reference: Branch, say: Say
    ) -> Made:
        """Adds a quantised graph to a branch whose drop is within a budget."""
        from edge_tx.calibration.flow import quantize

        plan = self._plan
        try:
            done = quantize(
                self.bundle(branch),
                backend=branch.backend,
                recipe=recipe,
                data=self._material.train,
                dev=self._material.dev,
                metric=plan.metric,
                max_drop=budget,
                keep=True,
                samples=min(plan.samples, _CALIBRATED),
                seed=plan.seed,
                threads=plan.threads,
                options=dict(plan.options),
                progress=_counted(say),
            )
            graph = done.bundle.graph(done.outcomes[0].graph)
            say(f"measuring its {plan.metric}")
            return self._scored(done.bundle, graph, reference)
        except EdgeTxError as exc:
            return _failed(exc)

    def measure(
        self, branch: Branch, recipes: Sequence[str], reference: Branch, say: Say
    ) -> Mapping[str, Timed]:
        """Measures graphs of a branch in turns with the reference."""
        with Bundle.open(self.bundle(branch)) as mine, Bundle.open(self.bundle(reference)) as whole:
            graphs = [self.graph(mine, recipe) for recipe in recipes]
            jobs = [(graph, self._cell(mine, graph)) for graph in graphs]
            if branch != reference or "" not in recipes:
                beside = self.graph(whole, "")
                jobs.append((beside, self._cell(whole, beside)))
            found = tuning.in_turns(jobs, _counted(say))
        first = found[-1] if len(found) > len(recipes) else found[list(recipes).index("")]
        return {r: Timed(measured, first) for r, measured in zip(recipes, found, strict=False)}

    def graph(self, bundle: Bundle, recipe: str) -> Graph:
        """A graph of a branch's bundle, by what was asked for."""
        name = recipe.partition(":")[0]
        return next(g for g in bundle.graphs if g.recipe.partition(":")[0] == name)

    def left(self, kept: float) -> Pruning | None:
        """What pruning left of a model's layers; None for a model that was not made."""
        record = self._model(kept) / "pruning.json"
        return pruning.read(str(record)) if record.exists() else None

    # -------------------------------------------------------------------------------- folders

    def _model(self, kept: float) -> Path:
        return self._folder / "models" / f"{kept:g}"

    def _recovered(self, kept: float) -> Path:
        return self._folder / "models" / f"{kept:g}-recovered"

    def _best_model(self, kept: float) -> Path:
        return self._model(kept) if self._plan.recover is None else self._recovered(kept)

    # ------------------------------------------------------------------------------ measuring

    def _scored(self, bundle: Bundle, graph: Graph, reference: Branch) -> Made:
        evaluation = self._evaluated(reference)
        with _opened(bundle, graph, self._plan.threads) as session:
            score = evaluation.score(session)
        if self._whole is None:
            self._whole = evaluation.reference_score()
        return Made(score, self._whole, graph.size)

    def _evaluated(self, reference: Branch) -> Evaluation:
        """The metric; the whole model's fp32 answers stand for labels where there are none."""
        if self._evaluation is None:
            bundle = Bundle.open(self.bundle(reference))
            manifest, plan = bundle.manifest, self._plan
            metric = find_metric(plan.metric, manifest.task)
            rows = read_examples(self._material.dev, manifest.task, labelled=metric.labelled)
            self._evaluation = Evaluation(
                metric,
                list(rows),
                tasks.create(manifest.task, manifest.settings),
                bundle.tokenizer(),
                manifest.settings,
                lambda: _session(bundle, self.graph(bundle, ""), plan.threads),
                plan.options,
            )
        return self._evaluation

    def _cell(self, bundle: Bundle, graph: Graph) -> Any:
        plan = self._plan
        threads = (plan.threads,) if plan.threads else ()
        timing = runner.Plan(axes=Axes(threads=threads), seconds=plan.seconds)
        texts = self._material.spread(_MEASURED)
        return replace(tuning.cell_for(bundle, timing, texts, dict(plan.options)), graph=graph.name)


def _fresh(folder: Path) -> Path:
    """A place where nothing is: what a killed run had finished but not noted goes."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _failed(exc: EdgeTxError) -> Made:
    """The failure as what came of a step; raised where it says nothing about the step.

    Raises:
        InvalidInput: The user's rows are wrong.
        BundleError: The disk is full, say: the same step may go well once it is not.
    """
    if isinstance(exc, (InvalidInput, BundleError)):
        raise exc
    return Made(problem=str(exc), over=isinstance(exc, AccuracyGateFailed))


def _counted(say: Say) -> Callable[..., None]:
    def told(step: str, done: int = 0, total: int = 0, /) -> None:
        say(f"{step} ({done + 1}/{total})" if 0 <= done < total else step)

    return told


def _session(bundle: Bundle, graph: Graph, threads: int) -> backends.Session:
    return backends.open_session(graph.backend, bundle.entry(graph), SessionConfig(threads=threads))


@contextmanager
def _opened(bundle: Bundle, graph: Graph, threads: int) -> Iterator[backends.Session]:
    session = _session(bundle, graph, threads)
    try:
        yield session
    finally:
        session.close()
