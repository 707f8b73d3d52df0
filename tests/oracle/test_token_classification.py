"""Token classification against transformers' own pipeline."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.export

TASK = "token-classification"
FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2")
AGGREGATIONS = ("none", "simple", "first", "average", "max")


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tiny_model: Any) -> Path:
    path: Path = tiny_model(request.param, TASK)
    return path


def _check(result: Any, expected: list[dict[str, Any]]) -> None:
    found = [(e.label, e.word, e.start, e.end, e.index) for e in result.entities]
    assert found == [
        (e.get("entity", e.get("entity_group")), e["word"], e["start"], e["end"], e.get("index"))
        for e in expected
    ]
    assert [e.score for e in result.entities] == pytest.approx(
        [float(e["score"]) for e in expected], abs=1e-4
    )


def _ask(pipe: Any, text: str, **options: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():  # "does not support real words, using fallback heuristic"
        warnings.simplefilter("ignore")
        found: list[dict[str, Any]] = pipe(text, **options)
    return found


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_nasty_texts(
    folder: Path, ours: Any, theirs: Any, nasties: list[str], aggregation: str
) -> None:
    pipe = theirs(folder, TASK)
    results = ours(folder, TASK)(nasties, aggregation=aggregation)
    for text, result in zip(nasties, results, strict=True):
        _check(result, _ask(pipe, text, aggregation_strategy=aggregation))
        assert all(e.text == text[e.start : e.end] for e in result.entities)


@pytest.mark.parametrize("aggregation", AGGREGATIONS[1:])
def test_windows(
    folder: Path, ours: Any, theirs: Any, nasties: list[str], aggregation: str
) -> None:
    pipe = theirs(folder, TASK)
    # Long enough for three windows or so: the pipeline runs them one by one.
    for text in [text * (1 + 600 // len(text)) for text in nasties if 0 < len(text) < 400]:
        result = ours(folder, TASK).one(text, aggregation=aggregation, stride=7)
        expected = _ask(pipe, text, aggregation_strategy=aggregation, stride=7)
        if len(expected) > 1 and expected[0] == expected[1]:
            # The pipeline gives a first entity that covers no character twice.
            assert expected[0]["start"] == expected[0]["end"]
            expected = expected[1:]
        _check(result, expected)
        assert result.truncated == 0


def test_ignored_labels(tiny_model: Any, ours: Any, theirs: Any) -> None:
    folder = tiny_model("bert", TASK)
    text = "Angela Merkel visited Paris in the north of France"
    for labels in ([], ["O", "B-PER"], ["PER"]):
        for aggregation in ("none", "simple"):
            _check(
                ours(folder, TASK).one(text, ignore_labels=labels, aggregation=aggregation),
                theirs(folder, TASK)(text, ignore_labels=labels, aggregation_strategy=aggregation),
            )
