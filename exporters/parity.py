"""The gate: a graph's answers against the fp32 reference's, on real text.

**What is compared.** Every input runs in a batch of many, so that short rows are padded; the
shortest and the longest row run alone as well. Reference and graph get the same arrays. Errors
are taken over real positions only; what a graph gives for padding is never read.

**Which error counts.** The largest difference of an element, relative to the largest magnitude
of its row if that is above 1: sums in another order differ by units in the last place of the
numbers that were added, not of the result.

**When answers agree.** Decoded answers (labels, spans) must be equal, with one exception. If
each element of a row is off by at most e, two scores can only change places where the reference
itself held them at most 2e apart. So a changed answer is put down to a tie when the input's own
error is within :data:`TIE`, what two correct fp32 kernels may differ by: there the reference had
no preference worth the name. TIE is fixed. It does not grow with a budget: in a quantised graph,
whose error is larger, every changed answer counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx.errors import InvalidConfig, ParityFailed, UnsupportedModel
from edge_tx.exporters.traced import Traced
from edge_tx.manifest import Parity
from edge_tx.tensors import Array, TensorSpec
from edge_tx.text import Row, Tokenizer, collate

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.tasks import Task

__all__ = ["BUDGETS", "TIE", "Budget", "Measured", "check", "measure"]

TIE = 1e-4
"""Relative error within which a changed answer is a tie."""

_BATCH = 16
#: Most tokens of one batch, padding included: attention's memory grows with rows times length
#: squared, and the gate should not need more than the export did.
_TOKENS = 2048
#: Most elements of one output of one batch: 256 MB of float32. A fill-mask graph of a large
#: vocabulary gives a megabyte for each token.
_ELEMENTS = 1 << 26


@dataclass(frozen=True, slots=True)
class Budget:
    """How far off a graph may be.

    Attributes:
        max_abs_error: Largest difference of an element, relative to its row's largest magnitude
            if that is above 1.
        min_cosine: Smallest cosine between a row's output and the reference's.
        min_agreement: Smallest share of inputs with the same decoded answer.

    Raises:
        InvalidConfig: A number is out of its range.
    """

    max_abs_error: float = 1e-4
    min_cosine: float = 0.9999
    min_agreement: float = 1.0

    def __post_init__(self) -> None:
        if not self.max_abs_error > 0:
            raise InvalidConfig(f"max_abs_error must be above 0, not {self.max_abs_error}")
        for name, least in (("min_cosine", -1), ("min_agreement", 0)):
            if not least <= getattr(self, name) <= 1:
                raise InvalidConfig(f"{name} must be {least} to 1, not {getattr(self, name)}")


#: What a graph may be off by, by precision, unless the user says otherwise. fp16 keeps 11 bits:
#: a layer's outputs carry errors of 5e-4 of their magnitude, and tiny random models, whose scores
#: are close, show up to 7e-3.
BUDGETS: Mapping[str, Budget] = {
    "fp32": Budget(),
    "fp16": Budget(max_abs_error=2e-2, min_cosine=0.9995, min_agreement=0.95),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out of a comparison.

    Attributes:
        parity: The record for the manifest; its error is absolute.
        relative_error: What a budget limits.
        changed: The first input whose answer changed, shortened; empty if none did.
        not_finite: The first input with NaN or infinity in the graph's output; empty if none.
    """

    parity: Parity
    relative_error: float
    changed: str = ""
    not_finite: str = ""


def measure(
    traced: Traced,
    session: Session,
    task: Task,
    tokenizer: Tokenizer,
    inputs: Sequence[Any],
    options: Mapping[str, Any] | None = None,
) -> Measured:
    """Compares a graph with its reference.

    Args:
        traced: The reference.
        session: The graph, open.
        task: Of both.
        tokenizer: Of both.
        inputs: What users of the task give.
        options: Call options other than the defaults.

    Raises:
        InvalidInput: An input is not what the task takes.
        UnsupportedModel: The reference itself gives NaN or infinity.
        SessionFailed: The vendor's runtime failed.
    """
    chosen = task.options(**(options or {}))
    items = [task.parse(value, chosen) for value in inputs]
    if not items:
        raise InvalidConfig("a graph cannot be checked without texts: give at least one")
    rows = task.encode(tokenizer, items, chosen)
    tally = _Tally([_shown(value) for value in inputs])
    for batch in _batches(rows, traced.outputs):
        feeds = collate(batch, tokenizer.policy)
        truth, outs = traced.reference(feeds), session.run(feeds)
        _compare(tally, traced.outputs, batch, feeds["attention_mask"], truth, outs)
        if tally.not_finite:
            return tally.measured()
        tally.keep(batch, task.reduce(truth, batch, chosen), task.reduce(outs, batch, chosen))
    for index, item in enumerate(items):
        mine, wanted, got = zip(*tally.parts[index], strict=True)
        one = task.decode(tokenizer, item, mine, wanted, chosen)
        other = task.decode(tokenizer, item, mine, got, chosen)
        tally.answered(index, one.answer() == other.answer())
    return tally.measured()


def check(measured: Measured, budget: Budget, graph: str) -> Parity:
    """Holds a measurement against a budget.

    Args:
        measured: From :func:`measure`.
        budget: How far off the graph may be.
        graph: Its name, for the message.

    Raises:
        ParityFailed: It is over the budget; the message shows the worst input.
    """
    parity = measured.parity
    if measured.not_finite:
        raise ParityFailed(
            f"graph {graph} gives NaN or infinity for {measured.not_finite}: it is not written"
        )
    problems = []
    if not measured.relative_error <= budget.max_abs_error:
        problems.append(f"error {measured.relative_error:.2g} (budget {budget.max_abs_error:.2g})")
    if not parity.min_cosine >= budget.min_cosine:
        problems.append(f"cosine {parity.min_cosine:.6f} (budget {budget.min_cosine})")
    if not parity.agreement >= budget.min_agreement:
        problems.append(
            f"{parity.agreement:.1%} of answers equal (budget {budget.min_agreement:.1%}), "
            f"first changed for {measured.changed}"
        )
    if problems:
        raise ParityFailed(
            f"graph {graph} differs from the fp32 reference over {parity.texts} texts: "
            f"{', '.join(problems)}; worst for {parity.worst}: it is not written, try another "
            "route or precision, or give a wider budget"
        )
    return parity


@dataclass
class _Tally:
    """Worst cases so far, and the parts of each input's answer."""

    shown: Sequence[str]
    errors: dict[int, float] = field(default_factory=dict)
    relative: dict[int, float] = field(default_factory=dict)
    cosine: float = 1.0
    parts: dict[int, list[tuple[Row, Any, Any]]] = field(default_factory=dict)
    equal: int = 0
    changed: str = ""
    not_finite: str = ""
    _seen: set[int] = field(default_factory=set)

    def add(self, item: int, error: float, relative: float, cosine: float) -> None:
        self.errors[item] = max(self.errors.get(item, 0.0), error)
        self.relative[item] = max(self.relative.get(item, 0.0), relative)
        self.cosine = min(self.cosine, cosine)

    def keep(self, batch: Sequence[Row], wanted: Sequence[Any], got: Sequence[Any]) -> None:
        for row, one, other in zip(batch, wanted, got, strict=True):
            if id(row) not in self._seen:  # the shortest and longest row come twice
                self._seen.add(id(row))
                self.parts.setdefault(row.item, []).append((row, one, other))

    def answered(self, item: int, same: bool) -> None:
        if same or self.relative[item] <= TIE:
            self.equal += 1
        else:
            self.changed = self.changed or self.shown[item]

    def measured(self) -> Measured:
        worst = max(self.relative, key=lambda item: self.relative[item])
        parity = Parity(
            texts=len(self.shown),
            max_abs_error=max(self.errors.values()),
            min_cosine=self.cosine,
            agreement=self.equal / len(self.shown),
            worst=self.shown[worst],
        )
        return Measured(parity, self.relative[worst], self.changed, self.not_finite)


def _batches(rows: Sequence[Row], outputs: Sequence[TensorSpec]) -> Iterator[Sequence[Row]]:
    """All rows in batches of many, in the order they come; then the extremes alone."""
    width = max(prod(dim for dim in spec.shape if isinstance(dim, int)) for spec in outputs)
    tokens = min(_TOKENS, _ELEMENTS // width)
    batch: list[Row] = []
    for row in rows:
        longest = max(len(r.ids) for r in [*batch, row])
        if batch and (len(batch) == _BATCH or longest * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(row)
    yield batch
    by_length = sorted(rows, key=lambda row: len(row.ids))
    yield by_length[:1]
    yield by_length[-1:]


def _compare(
    tally: _Tally,
    outputs: Sequence[TensorSpec],
    batch: Sequence[Row],
    mask: Array,
    wanted: Mapping[str, Array],
    got: Mapping[str, Array],
) -> None:
    for spec in outputs:
        one, other = wanted[spec.name], got[spec.name]
        if one.shape != other.shape:
            raise ParityFailed(
                f"the graph's '{spec.name}' has shape {other.shape} where the reference has "
                f"{one.shape}: it does not follow its inputs' batch and length"
            )
        per_token = len(spec.shape) > 1 and spec.shape[1] == "seq"
        for index, row in enumerate(batch):
            real = mask[index].astype(bool) if per_token else slice(None)
            _compare_row(tally, row.item, one[index][real], other[index][real])


def _compare_row(tally: _Tally, item: int, wanted: Array, got: Array) -> None:
    if not np.isfinite(wanted).all():
        raise UnsupportedModel(
            f"the checkpoint itself gives NaN or infinity for {tally.shown[item]}: "
            "its weights are damaged or need another precision"
        )
    if not np.isfinite(got).all():
        tally.not_finite = tally.not_finite or tally.shown[item]
        tally.add(item, float("inf"), float("inf"), -1.0)
        return
    error = float(np.abs(wanted - got).max())
    scale = max(1.0, float(np.abs(wanted).max()))
    tally.add(item, error, error / scale, _cosine(wanted, got))


def _cosine(wanted: Array, got: Array) -> float:
    """Cosine of two arrays; 1 where there is no direction to compare: one number, or zeros."""
    one, other = wanted.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if one.size == 1 or lengths < 1e-12:
        return 1.0
    return min(1.0, float(one @ other) / lengths)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:45]}... ({len(text)} characters)"
