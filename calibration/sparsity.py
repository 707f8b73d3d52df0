"""Unstructured and N:M sparsity: weights become zero, and the shapes stay.

A graph with zeros in it computes them like all other numbers unless the runtime has kernels for
it: see docs/distillation.md for where that is so. What is faster everywhere is a smaller shape
(:mod:`edge_tx.calibration.pruning`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edge_tx import tasks
from edge_tx.calibration.data import calibration_set
from edge_tx.calibration.plan import Data
from edge_tx.errors import InvalidConfig, UnknownName, UnsupportedModel
from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.exporters import source
from edge_tx.exporters.checkpoint import open_checkpoint
from edge_tx.exporters.traced import Traced
from edge_tx.metric_table import find_metric
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    import torch

    from edge_tx.calibration.sparsity_math import Choice

__all__ = ["METHODS", "SCOPES", "Matrix", "Method", "Sparsified", "sparsify"]

_BATCH = 32
_TOKENS = 4096
_MOVEMENT_RATE = 5e-5
_RECORD = "sparsity.json"


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins, after ``done`` of ``total``."""


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


@dataclass(frozen=True)
class Work:
    """What a method is given.

    Attributes:
        traced: The model, changed in place.
        choice: How many weights go.
        tables: Whether the embedding tables are in scope, too.
        plan: What is asked for.
        progress: Told what begins.
    """

    traced: Traced
    choice: Choice
    tables: bool
    plan: Plan
    progress: Progress

    def matrices(self) -> dict[str, torch.nn.Module]:
        """The modules in scope whose ``weight`` is to be thinned out."""
        return {**self.embeddings(), **self.linears()}

    def linears(self) -> dict[str, torch.nn.Linear]:
        """The linear layers of the encoder."""
        from edge_tx.calibration.sparsity_inputs import linear_groups

        groups = linear_groups(self.traced.module)
        return {name: layer for group in groups for name, layer in group.linears.items()}

    def embeddings(self) -> dict[str, torch.nn.Module]:
        """The embedding tables, if they are in scope."""
        import torch

        modules = self.traced.module.named_modules() if self.tables else ()
        return {n: m for n, m in modules if isinstance(m, torch.nn.Embedding)}

    def fits(self, layer: torch.nn.Module) -> bool:
        """Whether the choice can be had in a layer."""
        return self.choice.fits(layer.weight.shape[1])


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table of methods.

    Attributes:
        name: What users write: ``--method obs``.
        about: What it does, in words.
        needs_data: Whether it looks at real inputs.
        patterns: Whether it can keep an N:M pattern.
        run: Thins a model out, in place.
    """

    name: str
    about: str
    needs_data: bool
    patterns: bool
    run: Callable[[Work], None]


def _by_size(work: Work) -> None:
    _thin_by_size(work, work.matrices())


def _thin_by_size(work: Work, layers: Mapping[str, torch.nn.Module]) -> None:
    """The smallest weights of each matrix go."""
    for layer in filter(work.fits, layers.values()):
        layer.weight.mul_(work.choice.keep(layer.weight.abs()))


def _by_size_globally(work: Work) -> None:
    """The smallest weights of all matrices together go."""
    import torch

    layers = list(work.matrices().values())
    scores = torch.cat([layer.weight.abs().flatten() for layer in layers])
    mask = work.choice.keep(scores.unsqueeze(0)).squeeze(0)
    parts = mask.split([layer.weight.numel() for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight.mul_(part.reshape(layer.weight.shape))


def _second_order(work: Work) -> None:
    """Encoder layer after encoder layer, each on what the thinned ones before it give."""
    from edge_tx.calibration.sparsity_inputs import gram_matrices, linear_groups
    from edge_tx.calibration.sparsity_math import prune_second_order

    _thin_by_size(work, work.embeddings())  # a table's Hessian is diagonal: nothing to make up
    batches = _batches(work.plan, work.traced)
    groups = linear_groups(work.traced.module)
    for number, group in enumerate(groups):
        work.progress("thinning out layers", number, len(groups))
        until = groups[number + 1].block if number + 1 < len(groups) else None
        grams = gram_matrices(work.traced.module, group, batches, until)
        for name, layer in group.linears.items():
            if work.fits(layer):
                layer.weight.copy_(prune_second_order(layer.weight, grams[name], work.choice))


def _by_movement(work: Work) -> None:
    """Weights and masks are trained together."""
    from edge_tx.calibration.distillation_data import tokenised
    from edge_tx.calibration.distillation_plan import Training
    from edge_tx.calibration.sparsity_movement import train_masks

    plan, traced = work.plan, work.traced
    examples = list(read_examples(plan.data or (), traced.task))
    training = Training(epochs=plan.epochs, seed=plan.seed, rate=_MOVEMENT_RATE)
    corpus = tokenised(examples, traced, plan.options, labelled=False)
    _thin_by_size(work, work.embeddings())
    layers = {name: layer for name, layer in work.linears().items() if work.fits(layer)}

    def told(done: int, total: int) -> None:
        work.progress("training masks", done, total)

    train_masks(traced, layers, work.choice, corpus, training, told)


METHODS: Mapping[str, Method] = {
    row.name: row
    for row in (
        Method("obs", "second order, with the others making up for it", True, True, _second_order),
        Method("l1", "the smallest of each matrix", False, True, _by_size),
        Method("movement", "those that training moves towards zero", True, True, _by_movement),
        Method("l1_global", "the smallest of all matrices together", False, False,
               _by_size_globally),
    )
}  # fmt: skip

SCOPES = ("linear", "all")
"""The linear layers of the encoder, or its embedding tables, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, checked."""

    method: Method
    choice: Choice
    scope: str
    data: Data | None
    dev: Data | None
    metric: str
    samples: int
    epochs: float
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)


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


def _batches(plan: Plan, traced: Traced) -> tuple[tuple[torch.Tensor, ...], ...]:
    from edge_tx.calibration.distillation_rows import in_length_order, tensors_of

    rows = calibration_set(
        plan.data or (),
        traced.task,
        tasks.create(traced.task, traced.settings),
        Tokenizer(traced.tokenizer_json, traced.policy),
        samples=plan.samples,
        seed=plan.seed,
        options=plan.options,
    ).prepared.rows
    places = in_length_order([len(row.ids) for row in rows], _BATCH, _TOKENS)
    return tuple(tensors_of([rows[i] for i in batch], traced.policy) for batch in places)


def _counted(name: str, layer: Any) -> Matrix:
    weight = layer.weight
    return Matrix(name, weight.numel(), int((weight == 0).sum()))


def _record(done: Sparsified, plan: Plan) -> Mapping[str, Any]:
    asked = {"choice": str(plan.choice), "scope": plan.scope, "seed": plan.seed}
    return {**asked, **{k: v for k, v in done.to_dict().items() if k != "output"}}


def _say_nothing(_step: str, _done: int, _total: int, /) -> None:
    pass
