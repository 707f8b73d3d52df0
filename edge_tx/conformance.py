"""Scores a program in any language against a bundle's golden answers.

The program reads one question a line and writes one answer a line; ``docs/conformance.md`` is
the protocol. This module writes the questions and judges the answers;
:mod:`edge_tx.conformance_program` runs the program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import golden as proof
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.strict_json import dumps, loads

if TYPE_CHECKING:
    from edge_tx.golden_json import Golden, GoldenArray, GoldenCase, GoldenRow
    from edge_tx.manifest import Parity

__all__ = ["CaseScore", "Question", "Score", "questions", "score"]

_KEYS = ("ids", "type_ids", "outputs", "scores", "truncated", "error")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Question:
    """A golden case that can be asked in one line.

    Attributes:
        number: Its index among the golden cases.
        case: The case; it has one row and no options.
    """

    number: int
    case: GoldenCase

    @property
    def row(self) -> GoldenRow:
        """The one row it becomes."""
        return self.case.rows[0]

    def line(self) -> bytes:
        """The JSON line that asks it, with its end."""
        value = self.case.input
        if isinstance(value, str):
            return dumps({"text": value})
        return dumps({"text": value[0], "pair": value[1]})


@dataclass(frozen=True, slots=True)
class CaseScore:
    """How one answer did.

    Attributes:
        case: Index of the golden case.
        ids_equal: Whether token ids are the reference's; None if the program tells none.
        max_abs_error: Largest difference of any number that was told.
        min_cosine: Smallest cosine of an output; 1 if none was told.
        failures: What is wrong; empty if all is well.
    """

    case: int
    ids_equal: bool | None = None
    max_abs_error: float = 0.0
    min_cosine: float = 1.0
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """How a program did.

    Attributes:
        cases: One per question, in order; those without an answer fail.
        skipped: Golden cases that the protocol cannot ask: they have options or several rows.
        malformed: Lines that are no answers, or too many of them.
    """

    cases: tuple[CaseScore, ...]
    skipped: int = 0
    malformed: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """All that is wrong, one line each."""
        of_cases = (f"case {case.case}: {text}" for case in self.cases for text in case.failures)
        return (*self.malformed, *of_cases)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    @property
    def passed(self) -> int:
        """Count of cases with nothing wrong."""
        return sum(not case.failures for case in self.cases)

    @property
    def ids_told(self) -> int:
        """Count of cases whose token ids were told."""
        return sum(case.ids_equal is not None for case in self.cases)


def questions(golden: Golden) -> tuple[Question, ...]:
    """The golden cases that can be asked.

    Raises:
        InvalidConfig: There is none (zero-shot classifiers: each case needs labels).
    """
    found = tuple(
        Question(number, case)
        for number, case in enumerate(golden.cases)
        if len(case.rows) == 1 and not case.options
    )
    if not found:
        raise InvalidConfig(
            "no golden case of this bundle is a single row without options, so none can be asked "
            "of a program: use edge-tx verify"
        )
    return found


def score(golden: Golden, parity: Parity, answers: bytes, *, require_ids: bool = False) -> Score:
    """Judges what a program wrote.

    Args:
        golden: The bundle's answers.
        parity: Of the graph that the program runs: it says how far off numbers may be.
        answers: All of the program's stdout.
        require_ids: Whether an answer without token ids fails.
    """
    asked = questions(golden)
    lines = [line for line in answers.splitlines() if line.strip()]
    judge = _Judge(golden, parity, require_ids)
    cases, malformed = [], []
    for index, question in enumerate(asked):
        if index >= len(lines):
            cases.append(_unanswered(question, "no answer"))
            continue
        try:
            answer = _Answer.read(lines[index], f"answer {index + 1}")
        except InvalidInput as exc:
            malformed.append(str(exc))
            cases.append(_unanswered(question, "no answer that can be read"))
            continue
        cases.append(judge.case(question, answer))
    if len(lines) > len(asked):
        malformed.append(f"{len(lines)} answers to {len(asked)} questions: write one line for each")
    return Score(tuple(cases), len(golden.cases) - len(asked), tuple(malformed))


@dataclass(frozen=True, slots=True)
class _Answer:
    """One line of a program, checked."""

    ids: tuple[int, ...] | None = None
    type_ids: tuple[int, ...] | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    truncated: int | None = None
    error: str | None = None

    @classmethod
    def read(cls, line: bytes, name: str) -> _Answer:
        """Reads a line.

        Raises:
            InvalidInput: It is not an answer.
        """
        found = loads(line, f"{name} ({_short(line)})", InvalidInput)
        if not isinstance(found, dict):
            raise InvalidInput(f"{name}: expected an object, got {_short(line)}")
        strays = sorted(found.keys() - set(_KEYS))
        if strays:
            raise InvalidInput(f"{name}: unknown key {strays[0]!r}; known: {', '.join(_KEYS)}")
        for key, (is_right, expected) in _SHAPES.items():
            if key in found and not is_right(found[key]):
                raise InvalidInput(f"{name}: {key} must be {expected}")
        if not found.keys() & {"outputs", "scores", "error"}:
            raise InvalidInput(f"{name}: it has none of outputs, scores and error")
        for key in ("ids", "type_ids"):
            if key in found:
                found[key] = tuple(found[key])
        return cls(**found)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)


def _is_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(type(one) in (int, float) for one in value.values())


_SHAPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "ids": (_is_ids, "a list of whole numbers"),
    "type_ids": (_is_ids, "a list of whole numbers"),
    "outputs": (lambda value: isinstance(value, dict), "an object of lists of numbers"),
    "scores": (_is_scores, "an object of numbers"),
    "truncated": (lambda value: type(value) is int, "a whole number"),
    "error": (lambda value: isinstance(value, str), "a text"),
}


@dataclass(frozen=True, slots=True)
class _Judge:
    golden: Golden
    parity: Parity
    require_ids: bool

    def case(self, question: Question, answer: _Answer) -> CaseScore:
        if answer.error is not None:
            return _unanswered(question, f"the program says: {_short(answer.error)}")
        failures = list(self._tokens(question, answer))
        worst, lowest = 0.0, 1.0
        for name, wanted in question.row.outputs.items():
            error, cosine, problems = self._output(name, wanted, answer)
            worst, lowest = max(worst, error), min(lowest, cosine)
            failures += problems
        error, problems = self._scores(question, answer)
        equal = None if answer.ids is None else answer.ids == question.row.ids
        return CaseScore(question.number, equal, max(worst, error), lowest, (*failures, *problems))

    def _tokens(self, question: Question, answer: _Answer) -> list[str]:
        row, failures = question.row, []
        if answer.ids is None and self.require_ids:
            failures.append("no token ids")
        if answer.ids is not None and answer.ids != row.ids:
            failures.append(f"token ids differ: {_first_difference(answer.ids, row.ids)}")
        if answer.type_ids is not None and answer.type_ids != row.type_ids:
            failures.append(f"type ids differ: {_first_difference(answer.type_ids, row.type_ids)}")
        cut = question.case.result.get("truncated", 0)
        if answer.truncated is not None and answer.truncated != cut:
            failures.append(f"{answer.truncated} tokens were cut off, not {cut}")
        return failures

    def _output(
        self, name: str, wanted: GoldenArray, answer: _Answer
    ) -> tuple[float, float, list[str]]:
        if name not in answer.outputs:
            # Scores stand for the outputs where a library gives nothing else.
            return (0.0, 1.0, []) if answer.scores else (math.inf, 0.0, [f"no output {name!r}"])
        try:
            if not _are_numbers(answer.outputs[name]):
                raise TypeError("a text or a truth value")
            array = np.asarray(answer.outputs[name], dtype=np.float32)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return math.inf, 0.0, [f"{name} is not an array of numbers"]
        size = math.prod(wanted.shape)
        if array.shape != wanted.shape and array.shape != (size,):
            told = f"{name} has the shape {list(array.shape)}, not {list(wanted.shape)}"
            return math.inf, 0.0, [told]
        error, cosine = proof.compare(wanted, array.reshape(wanted.shape))
        limit = proof.allowed(wanted, self.golden, self.parity)
        return (
            error,
            cosine,
            proof.array_failures(name, error, cosine, limit, self.golden, self.parity),
        )

    def _scores(self, question: Question, answer: _Answer) -> tuple[float, list[str]]:
        if not answer.scores:
            return 0.0, []
        wanted = question.case.result.get("scores")
        if not isinstance(wanted, Mapping):
            return 0.0, ["scores were told, and this task has none: tell outputs"]
        if wanted.keys() != answer.scores.keys():
            return math.inf, [f"scores of {sorted(answer.scores)}, not of {sorted(wanted)}"]
        error = max(abs(_limited(answer.scores[label]) - wanted[label]) for label in wanted)
        # Softmax and sigmoid never widen a difference, so the outputs' own limit holds.
        limit = max(
            proof.allowed(array, self.golden, self.parity)
            for array in question.row.outputs.values()
        )
        if error > limit:
            return error, [f"scores are off by {error:.3g}, allowed {limit:.3g}"]
        return error, []


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_are_numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _limited(number: float) -> float:
    """A number as a float; one that is too large for that as infinity."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _unanswered(question: Question, why: str) -> CaseScore:
    return CaseScore(question.number, None, math.inf, 0.0, (why,))


def _first_difference(got: Sequence[int], wanted: Sequence[int]) -> str:
    for place, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if one != other:
            return f"{one}, not {other}, at {place}"
    return f"{len(got)} of them, not {len(wanted)}"


def _short(value: bytes | str) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
