"""Golden answers: made from the reference, and held against a graph on any device.

:func:`record` makes a case from the reference, :func:`prove` holds a graph against
them.

**How far off a graph may be.** Two CPUs add the same numbers in another order, so fp32 outputs
differ in the last bits, and the difference grows with the size of the numbers, not with each
number's own: a limit relative to the largest magnitude of an output fits, a limit relative to
each element would fail near zero. The golden file's tolerance, 1e-4 of that magnitude, is about
a thousand units in the last place: fp32 encoders measure 1e-6 to 1e-5, and a wrong kernel,
layout or tokenizer shows at 1e-2 and above. A reduced-precision graph differs from the reference
by design; what it may do is in its manifest, measured where it was made. Another device's
kernels (with or without 8-bit dot products, saturating or not) may double that, hence
:data:`MARGIN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_tx.golden_json import TOLERANCE, Golden, GoldenArray, GoldenCase, GoldenRow, compare
from edge_tx.strict_json import encode
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer, collate

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.manifest import Graph, Parity
    from edge_tx.tasks import Result, Task

__all__ = [
    "MARGIN",
    "TOLERANCE",
    "Answered",
    "Golden",
    "GoldenArray",
    "GoldenCase",
    "GoldenRow",
    "Proof",
    "allowed",
    "answer",
    "array_failures",
    "compare",
    "prove",
    "record",
    "unlike",
]

MARGIN = 2.0
"""How much more than its recorded parity a graph may be off on another device."""

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Feeds to outputs: a session's ``run``, or the reference's."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came out of holding a graph against the golden answers.

    Attributes:
        cases: Count of cases.
        ids_equal: Whether all token ids were the same.
        max_abs_error: Largest difference of any output element.
        min_cosine: Smallest cosine of an output.
        agreement: Share of cases whose decoded result is the same.
        failures: What is wrong, one line each; empty if all is well.
    """

    cases: int
    ids_equal: bool
    max_abs_error: float
    min_cosine: float
    agreement: float
    failures: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures


def record(
    value: Any, options: Mapping[str, Any], *, tokenizer: Tokenizer, task: Task, run: Run
) -> GoldenCase:
    """Makes a case from the reference.

    Args:
        value: What a user gives.
        options: Call options other than the defaults.
        tokenizer: The bundle's.
        task: The bundle's.
        run: The fp32 reference.

    Raises:
        InvalidInput: The value is not what the task takes.
        ParityFailed: The reference gives NaN or infinity.
    """
    got = answer(value, options, tokenizer, task, run)
    rows = (
        GoldenRow(
            ids=tuple(row.ids),
            type_ids=tuple(row.encoding.type_ids),
            outputs={name: GoldenArray.of(array) for name, array in arrays.items()},
        )
        for row, arrays in zip(got.rows, got.outputs, strict=True)
    )
    return GoldenCase(value, dict(options), tuple(rows), encode(got.result.to_dict()))


def prove(
    golden: Golden, graph: Graph, session: Session, tokenizer: Tokenizer, task: Task
) -> Proof:
    """Holds an open graph against the golden answers, on this device.

    Every row is run alone and unpadded, as the reference ran it.

    Args:
        golden: The bundle's answers.
        graph: The graph's record: its parity says how far off it may be.
        session: The graph, open.
        tokenizer: The bundle's.
        task: The bundle's.

    Raises:
        SessionFailed: The vendor's runtime failed.
        InvalidInput: A case cannot be an input of the task.
    """
    checks = [_check(case, golden, graph, session, tokenizer, task) for case in golden.cases]
    failures = [f"case {i}: {text}" for i, check in enumerate(checks) for text in check.failures]
    others = [check for check in checks if not check.agrees]
    # A graph which changes some answers by design may change some here; others not a single one.
    most = math.ceil(MARGIN * (1 - graph.parity.agreement) * len(checks))
    if len(others) > most:
        failures += [f"case {i}: {c.unlike}" for i, c in enumerate(checks) if not c.agrees]
    return Proof(
        cases=len(checks),
        ids_equal=all(check.ids_equal for check in checks),
        max_abs_error=max((check.error for check in checks), default=0.0),
        min_cosine=min((check.cosine for check in checks), default=1.0),
        agreement=1 - len(others) / len(checks) if checks else 1.0,
        failures=tuple(failures),
    )


@dataclass(frozen=True, slots=True)
class _Check:
    ids_equal: bool
    error: float
    cosine: float
    failures: tuple[str, ...] = ()
    unlike: str = ""

    @property
    def agrees(self) -> bool:
        return not self.unlike


def _check(
    case: GoldenCase,
    golden: Golden,
    graph: Graph,
    session: Session,
    tokenizer: Tokenizer,
    task: Task,
) -> _Check:
    run = answer(case.input, case.options, tokenizer, task, session.run)
    if [_tokens(row) for row in run.rows] != [(row.ids, row.type_ids) for row in case.rows]:
        differs = "token ids differ"
        return _Check(False, math.inf, 0.0, (differs,), differs)
    worst, lowest, widest, tie, failures = 0.0, 1.0, 0.0, 0.0, []
    for wanted, got in zip(case.rows, run.outputs, strict=True):
        for name, array in wanted.outputs.items():
            limit = allowed(array, golden, graph.parity)
            error, cosine = compare(array, got[name]) if name in got else (math.inf, 0.0)
            failures += array_failures(name, error, cosine, limit, golden, graph.parity)
            worst, lowest = max(worst, error), min(lowest, cosine)
            widest = max(widest, limit)
            tie = max(tie, _rounding(array, golden))
    differs = _difference(case.result, encode(run.result.to_dict()), _Limits(widest, tie))
    return _Check(True, worst, lowest, tuple(failures), differs)


def _tokens(row: Row) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(row.ids), tuple(row.encoding.type_ids)


def allowed(array: GoldenArray, golden: Golden, parity: Parity) -> float:
    """How far any element of a graph's output may be off, on any device."""
    return max(_rounding(array, golden), MARGIN * parity.max_abs_error)


def _rounding(array: GoldenArray, golden: Golden) -> float:
    return golden.tolerance * max(map(abs, array.values), default=0.0)


def array_failures(
    name: str, error: float, cosine: float, limit: float, golden: Golden, parity: Parity
) -> list[str]:
    """What is wrong with an output of a graph, one line each.

    Args:
        name: Of the output.
        error: Its largest difference.
        cosine: Its cosine to the reference's.
        limit: What :func:`allowed` says.
        golden: The bundle's answers.
        parity: Of the graph.
    """
    failures = []
    if error > limit:
        failures.append(f"{name} is off by {error:.3g}, allowed {limit:.3g}")
    lost = max(golden.tolerance, MARGIN * (1 - parity.min_cosine))
    if 1 - cosine > lost:
        failures.append(f"{name} has cosine {cosine:.5f}, allowed {1 - lost:.5f}")
    return failures


def unlike(wanted: Result, got: Result, *, number: float, tie: float) -> str:
    """Says where a graph's result is another than the reference's; empty if nowhere.

    Args:
        wanted: The reference's.
        got: The graph's.
        number: How far numbers of a result may be off.
        tie: How near scores are that may change places.
    """
    limits = _Limits(number, tie)
    return _difference(encode(wanted.to_dict()), encode(got.to_dict()), limits)


@dataclass(frozen=True, slots=True)
class _Limits:
    """How far numbers of a result may be off, and how near scores are that may change places.

    The second is what fp32 rounding may do, for every precision: a reduced precision that turns
    two answers round has given another answer.
    """

    number: float
    tie: float


def _difference(wanted: Any, got: Any, limits: _Limits, where: str = "result") -> str:
    """Says where two results differ: numbers by more than allowed, all else at all."""
    if isinstance(wanted, Mapping) and isinstance(got, Mapping) and wanted.keys() == got.keys():
        pairs = [(f"{where}.{key}", wanted[key], got[key]) for key in wanted]
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        got = _aligned(wanted, got, limits)
        pairs = [(f"{where}[{i}]", one, got[i]) for i, one in enumerate(wanted)]
    elif _is_close(wanted, got, limits) or (type(wanted) is type(got) and wanted == got):
        return ""
    else:
        return f"{where} is {_short(got)}, not {_short(wanted)}"
    found = (_difference(one, other, limits, place) for place, one, other in pairs)
    return next(filter(None, found), "")


def _aligned(wanted: list[Any], got: list[Any], limits: _Limits) -> list[Any]:
    """Brings scored answers in the wanted order where only ties have changed places."""
    scores: list[Any] = [one.get("score") if isinstance(one, Mapping) else None for one in wanted]
    if not all(isinstance(score, float) for score in scores):
        return got
    left, ordered = list(range(len(got))), []
    for score, one in zip(scores, wanted, strict=True):
        ties = (i for i in left if abs(scores[i] - score) <= limits.tie)
        same = next((i for i in ties if not _difference(one, got[i], limits)), left[0])
        left.remove(same)
        ordered.append(got[same])
    return ordered


def _is_close(wanted: Any, got: Any, limits: _Limits) -> bool:
    numbers = all(type(value) in (int, float) for value in (wanted, got))
    # Whole numbers are offsets and counts, unless the other side is a score of exactly 0 or 1.
    return numbers and float in (type(wanted), type(got)) and abs(wanted - got) <= limits.number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True, slots=True)
class Answered:
    """What a run of one input gives.

    Attributes:
        rows: The rows it becomes.
        outputs: Arrays of each row by output name, without the batch dimension.
        result: The result.
    """

    rows: Sequence[Row]
    outputs: Sequence[Mapping[str, Array]]
    result: Result


def answer(
    value: Any, options: Mapping[str, Any], tokenizer: Tokenizer, task: Task, run: Run
) -> Answered:
    """Runs one input, every row alone and unpadded.

    Raises:
        InvalidInput: The value is not what the task takes.
    """
    chosen = task.options(**options)
    item = task.parse(value, chosen)
    rows = task.encode(tokenizer, [item], chosen)
    outputs = [run(collate([row], tokenizer.policy)) for row in rows]
    parts = [task.reduce(out, [row], chosen)[0] for out, row in zip(outputs, rows, strict=True)]
    result = task.decode(tokenizer, item, rows, parts, chosen)
    alone = [{name: out[name][0] for name in task.outputs} for out in outputs]
    return Answered(rows, alone, result)
