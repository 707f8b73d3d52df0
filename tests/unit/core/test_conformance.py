"""Answers are judged by the golden ones; what is no answer is named."""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx import conformance, conformance_program
from edge_tx.errors import InvalidConfig
from edge_tx.golden import Golden, GoldenArray, GoldenCase, GoldenRow
from edge_tx.manifest import Parity

LOGITS = (0.5, -2.0)
SCORES = {"bad": 0.92414, "good": 0.07586}


def case(value: Any = "hello", **changes: Any) -> GoldenCase:
    row = GoldenRow((2, 7, 3), (0, 0, 0), {"logits": GoldenArray((2,), 1, LOGITS)})
    parts = {"options": {}, "rows": (row,), "result": {"scores": SCORES, "truncated": 0}}
    return GoldenCase(input=value, **(parts | changes))


def parity(error: float = 0.0, cosine: float = 1.0) -> Parity:
    return Parity(texts=3, max_abs_error=error, min_cosine=cosine, agreement=1.0)


def lines(*answers: Any) -> bytes:
    return b"".join(json.dumps(answer).encode() + b"\n" for answer in answers)


def right(**changes: Any) -> dict[str, Any]:
    told = {"ids": [2, 7, 3], "outputs": {"logits": list(LOGITS)}} | changes
    return {key: value for key, value in told.items() if value is not None}


def judged(answer: Any, of: Parity | None = None, **options: Any) -> conformance.Score:
    return conformance.score(Golden((case(),)), of or parity(), lines(answer), **options)


@pytest.mark.parametrize(
    "answer",
    [
        right(),
        right(type_ids=[0, 0, 0], truncated=0, scores=SCORES),
        right(ids=None),
        right(outputs={"logits": [0.5001, -2.0]}),
        right(outputs=None, scores=SCORES),
    ],
)
def test_right_answers_pass(answer: Any) -> None:
    score = judged(answer)
    assert score.ok
    assert score.passed == 1
    assert score.ids_told == ("ids" in answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (right(ids=[2, 8, 3]), "token ids differ: 8, not 7, at 1"),
        (right(ids=[2, 7]), "token ids differ: 2 of them, not 3"),
        (right(type_ids=[0, 0, 1]), "type ids differ"),
        (right(truncated=4), "4 tokens were cut off, not 0"),
        (right(outputs={"logits": [0.51, -2.0]}), "logits is off by 0.01"),
        (right(outputs={"logits": [0.5]}), "logits has the shape [1], not [2]"),
        (right(outputs={"logits": ["a", "b"]}), "not an array of numbers"),
        (right(outputs={"logits": ["0.5", "-2.0"]}), "not an array of numbers"),
        (right(outputs={"logits": [True, -2.0]}), "not an array of numbers"),
        (right(outputs={"logits": [10**400, -2.0]}), "not an array of numbers"),
        (right(scores={"bad": 10**400, "good": 0.1}), "scores are off by inf"),
        (right(outputs={"other": [0.5, -2.0]}), "no output 'logits'"),
        (right(scores={"bad": 0.9, "good": 0.1}), "scores are off by 0.024"),
        (right(scores={"bad": 1.0}), "scores of ['bad']"),
        ({"error": "no such file"}, "the program says: no such file"),
    ],
)
def test_wrong_answers_fail_and_say_how(answer: Any, said: str) -> None:
    score = judged(answer)
    assert not score.malformed
    assert score.passed == 0
    assert any(said in failure for failure in score.failures), score.failures


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello\n", "not valid JSON"),
        (b"[1]\n", "expected an object"),
        (b'{"logits": [1]}\n', "unknown key 'logits'"),
        (b'{"ids": [1]}\n', "none of outputs, scores and error"),
        (b'{"ids": [true], "outputs": {}}\n', "ids must be a list of whole numbers"),
        (b'{"outputs": {"logits": [NaN]}}\n', "not valid JSON"),
        (lines(right(), right()), "2 answers to 1 questions"),
    ],
)
def test_what_is_no_answer_is_malformed(line: bytes, said: str) -> None:
    score = conformance.score(Golden((case(),)), parity(), line)
    assert said in score.malformed[0]


def test_missing_answers_fail_and_the_others_count() -> None:
    score = conformance.score(Golden((case(), case("b"))), parity(), lines(right()))
    assert score.failures == ("case 1: no answer",)
    assert score.passed == 1


def test_a_reduced_precision_may_be_off_by_what_was_measured() -> None:
    answer = right(outputs={"logits": [0.51, -2.0]})
    assert not judged(answer).ok
    assert judged(answer, parity(error=0.006, cosine=0.9999)).ok


def test_ids_can_be_required() -> None:
    assert judged(right(), require_ids=True).ok
    assert judged(right(ids=None), require_ids=True).failures == ("case 0: no token ids",)


def test_pairs_are_asked_and_what_cannot_be_is_counted() -> None:
    windows = case("long", rows=case().rows * 2)
    golden = Golden((case(), windows, case("b", options={"top_k": 1}), case(["a", "b"])))
    asked = conformance.questions(golden)
    assert [json.loads(question.line()) for question in asked] == [
        {"text": "hello"},
        {"text": "a", "pair": "b"},
    ]
    assert conformance.score(golden, parity(), lines(right(), right())).skipped == 2
    with pytest.raises(InvalidConfig, match="no golden case"):
        conformance.questions(Golden((windows,)))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_question_is_one_line_for_any_text(text: str) -> None:
    [question] = conformance.questions(Golden((case(text),)))
    assert question.line().count(b"\n") == 1
    assert json.loads(question.line()) == {"text": text}


@given(st.binary(max_size=60))
def test_any_bytes_are_judged(answers: bytes) -> None:
    assert conformance.score(Golden((case(),)), parity(), answers).passed == 0


def ends(process: int, within_s: float) -> bool:
    """Whether a process, of whatever parent, dies in time; one nobody has buried counts as dead."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(within_s * 1000))
    finally:
        os.close(handle)


class TestProgram:
    def run(self, program: str, timeout_s: float = 60) -> conformance_program.Outcome:
        return conformance_program.run(
            [sys.executable, "-c", program], b'{"text": "a"}\n', timeout_s=timeout_s
        )

    def test_reads_stdin_and_answers(self) -> None:
        done = self.run("import sys; sys.stdout.write(sys.stdin.read())")
        assert done.answers == b'{"text": "a"}\n'
        assert done.failure == ""

    def test_one_that_ignores_stdin_is_no_problem(self) -> None:
        assert self.run("print(1)").answers.strip() == b"1"

    def test_a_crash_is_told_with_the_last_line_of_stderr(self) -> None:
        done = self.run("print(1, flush=True); import sys; sys.exit('bad bundle')")
        assert done.failure == "it ended with exit code 1: bad bundle"
        assert done.answers.strip() == b"1"

    def test_a_signal_has_its_name(self) -> None:
        assert "SIGKILL" in self.run("import os; os.kill(os.getpid(), 9)").failure

    def test_one_that_hangs_is_killed_with_its_children(self, tmp_path: Path) -> None:
        noted = tmp_path / "child"
        child = (
            "import subprocess, sys, time; c = subprocess.Popen(['sleep', '600']); "
            f"open({str(noted)!r}, 'w').write(str(c.pid)); time.sleep(600)"
        )
        done = self.run(child, timeout_s=2)
        assert done.failure == "it was not done after 2 s"
        if noted.exists():
            assert ends(int(noted.read_text()), within_s=10)

    def test_what_cannot_be_started_is_said(self) -> None:
        with pytest.raises(InvalidConfig, match="cannot start 'no-such-program'"):
            conformance_program.run(["no-such-program"], b"", timeout_s=1)

    @pytest.mark.parametrize(("line", "said"), [("", "empty"), ("a 'b", "cannot read")])
    def test_command_lines_that_cannot_be_split(self, line: str, said: str) -> None:
        with pytest.raises(InvalidConfig, match=said):
            conformance_program.command_of(line)
