"""Unstructured and N:M sparsity: weights become zero, and the shapes stay.

A graph with zeros in it computes them like all other numbers unless the runtime has kernels for
it: see docs/distillation.md for where that is so. What is faster everywhere is a smaller shape
(:mod:`edge_tx.calibration.pruning`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_tx.calibration.plan import Data
from edge_tx.calibration.sparsity_methods import METHODS, SCOPES, Method, Plan, Progress, Work
from edge_tx.errors import InvalidConfig, UnknownName, UnsupportedModel
from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.exporters import source
from edge_tx.exporters.checkpoint import open_checkpoint
from edge_tx.exporters.traced import Traced
from edge_tx.metric_table import find_metric

if TYPE_CHECKING:
    from edge_tx.calibration.sparsity_math import Choice

__all__ = ["METHODS", "SCOPES", "Matrix", "Method", "Sparsified", "sparsify"]

_RECORD = "sparsity.json"


@dataclass(frozen=True, slots=True)
class Matrix:
    """One weight matrix.

    Attributes:
        name: Of its layer.
        weights: How many it has.
        zeros: How many of them are zero now.
    """

    name: str
    weights: int
    zeros: int


@dataclass(frozen=True, slots=True)
class Sparsified:
    """What came of it.

    Attributes:
        output: The new folder.
        method: Name of the method.
        matrices: Those in scope; one whose width does not fit a pattern stays as it was.
        metric: That was measured; empty if there was nothing to measure on.
        before: Of the model as it was.
        after: Of the new one.
    """

    output: str
    method: str
    matrices: tuple[Matrix, ...]
    metric: str = ""
    before: float | None = None
    after: float | None = None

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights in scope."""
        return sum(m.zeros for m in self.matrices) / sum(m.weights for m in self.matrices)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"sparsity": self.sparsity}


def sparsify(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    method: str = "obs",
    ratio: float = 0.5,
    pattern: str | None = None,
    scope: str = "linear",
    data: Data | None = None,
    dev: Data | None = None,
    metric: str = "cosine",
    samples: int = 512,
    epochs: float = 1.0,
    seed: int = 0,
    task: str | None = None,
    revision: str | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Sparsified:
    """Sets weights of a model to zero, in one go or, by ``movement``, while it is trained.

    Args:
        model: A local folder, or the id of a hub repository.
        output: The new folder, an ordinary one of transformers with ``sparsity.json`` in it.
        method: Name of a method: see :data:`METHODS`.
        ratio: Share of the weights in scope that become zero.
        pattern: ``"2:4"``, say, in the place of a share: of every 4 weights side by side 2 stay.
        scope: ``"linear"`` for the linear layers of the encoder, ``"all"`` for the embedding
            tables, too.
        data: Real inputs, a file or an iterable; ``obs`` and ``movement`` need them.
        dev: Rows to measure on, with labels if the metric needs them; nothing is measured if
            not given.
        metric: Name of a metric; ``cosine`` and ``agreement`` compare with the model as it was.
        samples: Most inputs that ``obs`` looks at.
        epochs: Times that ``movement`` goes through the data.
        seed: Of the sample, and of the order of the data.
        task: Name of the task; inferred if not given.
        revision: Branch, tag or commit of a hub repository.
        options: Call options of the task, e.g. the labels of a zero-shot classifier.
        progress: Told what begins.

    Raises:
        UnknownName: No such method, scope, metric or task.
        InvalidConfig: An option makes no sense, data is missing, or the folder is there already.
        InvalidInput: A row cannot be used, or the data looks nothing like the model's input.
        UnsupportedModel: The model cannot be read, or has no linear layers to thin out.
    """
    plan = Plan(
        *_chosen(method, ratio, pattern, scope, data), data, dev, metric, samples, epochs,
        seed,
        dict(options or {}),
    )  # fmt: skip
    from edge_tx.calibration.distillation_folder import new_folder, write_model

    target = new_folder(output)
    traced = source.load(os.fspath(model), task=task, revision=revision)
    done = _run(plan, traced, str(output), progress or _say_nothing)
    origin = open_checkpoint(os.fspath(model), revision)
    write_model(traced.module.transformer, origin, target, {_RECORD: _record(done, plan)})
    return done


def _chosen(
    method: str, ratio: float, pattern: str | None, scope: str, data: Data | None
) -> tuple[Method, Choice, str]:
    from edge_tx.calibration.sparsity_math import Pattern, Share

    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    if scope not in SCOPES:
        raise UnknownName("scope", scope, SCOPES)
    row = METHODS[method]
    if pattern is not None and not row.patterns:
        raise InvalidConfig(f"method {method} keeps no pattern: use obs or l1")
    if row.needs_data and data is None:
        raise InvalidConfig(
            f"method {method} looks at real inputs: give data, or use the method l1"
        )
    return row, Share(ratio) if pattern is None else Pattern.parse(pattern), scope


def _run(plan: Plan, traced: Traced, output: str, progress: Progress) -> Sparsified:
    from edge_tx.calibration.distillation_session import ModuleSession

    work = Work(traced, plan.choice, plan.scope == "all", plan, progress)
    if not any(map(work.fits, work.matrices().values())):
        raise UnsupportedModel(
            f"{traced.source.name} has no linear layer inside an encoder layer that can be "
            f"thinned out by {plan.choice}"
        )
    gate = _gate(plan, traced)
    before = after = None
    if gate is not None:
        progress("measuring the model as it is", 0, 0)
        before = gate.score(ModuleSession(traced))
    plan.method.run(work)
    if gate is not None:
        progress("measuring the new one", 0, 0)
        after = gate.score(ModuleSession(traced))
    return Sparsified(
        output,
        plan.method.name,
        tuple(_counted(name, layer) for name, layer in work.matrices().items()),
        plan.metric if gate is not None else "",
        before,
        after,
    )


def _gate(plan: Plan, traced: Traced) -> Evaluation | None:
    """The metric, if there is something to measure on."""
    from edge_tx.calibration.distillation_session import evaluation

    if plan.dev is None:
        return None
    metric = find_metric(plan.metric, traced.task)
    rows = list(read_examples(plan.dev, traced.task, labelled=metric.labelled))
    return evaluation(metric, rows, traced, plan.options)


def _counted(name: str, layer: Any) -> Matrix:
    weight = layer.weight
    return Matrix(name, weight.numel(), int((weight == 0).sum()))


def _record(done: Sparsified, plan: Plan) -> Mapping[str, Any]:
    asked = {"choice": str(plan.choice), "scope": plan.scope, "seed": plan.seed}
    return {**asked, **{k: v for k, v in done.to_dict().items() if k != "output"}}


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
