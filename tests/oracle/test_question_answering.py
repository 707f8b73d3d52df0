"""Question answering against the recorded answers of transformers 4's pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_tx.errors import InvalidInput

pytestmark = pytest.mark.export

_RECORD = Path(__file__).parents[1] / "data/qa_oracle"
_CASES: list[dict[str, Any]] = json.loads((_RECORD / "answers.json").read_text())["cases"]
_NAMES = {"max_seq_len": "max_length", "doc_stride": "stride"}


def _name(case: dict[str, Any]) -> str:
    options = ",".join(f"{k}={v}" for k, v in case["options"].items()) or "default"
    return f"{case['question'][:12]!a}-{case['context'][:12]!a}-{options}"


def _real(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what fills the pipeline's list up: spans that end before they start."""
    return [a for a in answers if a["score"] > 0]


@pytest.fixture(scope="module")
def answerer(ours: Any) -> Any:
    return ours(_RECORD / "model", "question-answering")


@pytest.mark.parametrize("case", [c for c in _CASES if "answers" in c], ids=_name)
def test_answers_are_the_pipelines(answerer: Any, case: dict[str, Any]) -> None:
    options = {_NAMES.get(name, name): value for name, value in case["options"].items()}
    result = answerer.one((case["question"], case["context"]), **options)
    expected = _real(case["answers"])
    answers = [a for a in result.answers if a.score > 0]
    assert [(a.answer, a.start, a.end) for a in answers] == [
        (a["answer"], a["start"], a["end"]) for a in expected
    ]
    assert [a.score for a in answers] == pytest.approx([a["score"] for a in expected], abs=1e-4)


@pytest.mark.parametrize("case", [c for c in _CASES if "error" in c], ids=_name)
def test_what_the_pipeline_refuses_is_one_line(answerer: Any, case: dict[str, Any]) -> None:
    options = {_NAMES.get(name, name): value for name, value in case["options"].items()}
    with pytest.raises(InvalidInput) as caught:
        answerer.one((case["question"], case["context"]), **options)
    assert "\n" not in str(caught.value)


def test_nothing_to_find_is_an_empty_answer_of_score_zero(answerer: Any) -> None:
    best = answerer.one(("Who?", " \n ")).best
    assert (best.answer, best.start, best.end, best.score) == ("", 0, 0, 0.0)


@pytest.mark.parametrize("options", [{}, {"top_k": 4, "max_length": 48, "stride": 8}])
def test_a_batch_equals_one_by_one(answerer: Any, options: dict[str, Any]) -> None:
    pairs = [(c["question"], c["context"]) for c in _CASES if "answers" in c][::9]
    together = answerer(pairs, **options)
    for pair, result in zip(pairs, together, strict=True):
        alone = answerer.one(pair, **options)
        assert result.answer() == alone.answer()
        assert [a.score for a in result.answers] == pytest.approx(
            [a.score for a in alone.answers], abs=1e-5
        )


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8, 14])
def test_a_characters_tokens_are_never_torn(tiny_model: Any, ours: Any, most: int) -> None:
    mine = ours(tiny_model("roberta", "question-answering"), "question-answering")
    question, context = "😀😁😂🤣 who?", "It is in Brazil."  # up to four tokens each
    whole = len(mine.tokenizer.pieces(question))
    found = mine.one((question, context), max_question_len=most)
    assert whole - most <= found.truncated <= min(whole, whole - most + 3)


def test_a_question_is_cut_to_its_most_tokens(answerer: Any) -> None:
    long = "where " * 100 + "is it?"
    with pytest.raises(InvalidInput):
        answerer.one((long, "It is in Brazil."))
    result = answerer.one((long, "It is in Brazil."), max_question_len=20)
    assert result.truncated > 80
    with pytest.raises(InvalidInput, match="tokens"):
        answerer.one((long, "It is in Brazil."), max_question_len=20, too_long="error")
