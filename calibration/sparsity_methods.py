"""How weights are chosen that become zero: the table of methods.

What imports torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edge_tx import tasks
from edge_tx.calibration.data import calibration_set
from edge_tx.calibration.plan import Data
from edge_tx.examples import read_examples
from edge_tx.exporters.traced import Traced
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    import torch

    from edge_tx.calibration.sparsity_math import Choice

__all__ = ["METHODS", "SCOPES", "Method", "Plan", "Progress", "Work"]

_BATCH = 32
_TOKENS = 4096
_MOVEMENT_RATE = 5e-5


class Progress(Protocol):
    """Told what begins."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins, after ``done`` of ``total``."""


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
