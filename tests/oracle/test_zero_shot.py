"""Zero-shot classification against transformers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.export

TASK = "zero-shot-classification"
FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2")
LABELS = ["sport", "the arts 🎭", "política"]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tiny_model: Any) -> Path:
    path: Path = tiny_model(request.param, TASK)
    return path


def _check(result: Any, expected: dict[str, Any]) -> None:
    assert list(result.labels) == expected["labels"]
    assert list(result.scores) == pytest.approx(expected["scores"], abs=1e-4)


@pytest.mark.parametrize("several", [False, True])
def test_nasty_texts(
    folder: Path, ours: Any, theirs: Any, nasties: list[str], several: bool
) -> None:
    pipe = theirs(folder, TASK)
    texts = [text for text in nasties if text]  # the pipeline takes no empty text
    results = ours(folder, TASK)(texts, labels=LABELS, multi_label=several)
    for text, result in zip(texts, results, strict=True):
        _check(result, pipe(text, candidate_labels=LABELS, multi_label=several))


def test_labels_and_template(tiny_model: Any, ours: Any, theirs: Any) -> None:
    folder = tiny_model("bert", TASK)
    for labels in ("one", "a, b ,, c", ["x", "y, z"]):
        for template in ("This example is {}.", "Es geht um {}"):
            _check(
                ours(folder, TASK).one("Some text", labels=labels, hypothesis_template=template),
                theirs(folder, TASK)(
                    "Some text", candidate_labels=labels, hypothesis_template=template
                ),
            )


@pytest.mark.parametrize(
    "labels", [("entailment", "neutral", "contradiction"), ("not_entailment", "Entails")]
)
def test_where_entailment_stands(
    tiny_model: Any, ours: Any, theirs: Any, labels: tuple[str, ...]
) -> None:
    folder = tiny_model("bert", TASK, labels=list(labels))
    for several in (False, True):
        _check(
            ours(folder, TASK).one("Some text", labels=LABELS, multi_label=several),
            theirs(folder, TASK)("Some text", candidate_labels=LABELS, multi_label=several),
        )
