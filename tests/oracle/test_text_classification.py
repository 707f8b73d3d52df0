"""Text classification against transformers' own pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.export

TASK = "text-classification"
FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2", "distilbert", "modernbert")


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tiny_model: Any) -> Path:
    path: Path = tiny_model(request.param, TASK)
    return path


def _check(result: Any, expected: list[dict[str, Any]]) -> None:
    assert list(result.scores) == [row["label"] for row in expected]
    assert list(result.scores.values()) == pytest.approx(
        [row["score"] for row in expected], abs=1e-4
    )
    assert result.label == expected[0]["label"]


def test_nasty_texts(folder: Path, ours: Any, theirs: Any, nasties: list[str]) -> None:
    results = ours(folder, TASK)(nasties)
    pipe = theirs(folder, TASK)
    for text, result in zip(nasties, results, strict=True):
        _check(result, pipe(text, top_k=None, truncation=True))


def test_pairs(folder: Path, ours: Any, theirs: Any, nasties: list[str]) -> None:
    # Two long texts cost transformers' tokenizer the product of their lengths.
    short = [text for text in nasties if len(text) < 2000]
    long = nasties[-1]
    pairs = [*zip(short, reversed(short), strict=True), (long, "short"), ("b", long)]
    mine, pipe = ours(folder, TASK), theirs(folder, TASK)
    for first, second in pairs:
        record = {"text": first, "text_pair": second}
        expected = pipe(record, top_k=None, truncation=True)
        _check(mine.one((first, second)), expected)
        _check(mine.one(record), expected)


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
def test_kinds_and_functions(
    tmp_path: Path, tiny_model: Any, ours: Any, theirs: Any, kind: str, function: str | None
) -> None:
    folder = _with_kind(tiny_model("bert", TASK), tmp_path, kind)
    _check(
        ours(folder, TASK).one("A fine day", function_to_apply=function),
        theirs(folder, TASK)("A fine day", top_k=None, function_to_apply=function),
    )


@pytest.mark.parametrize("kind", [None, "regression"])
def test_one_output(tmp_path: Path, tiny_model: Any, ours: Any, theirs: Any, kind: Any) -> None:
    source = tiny_model("bert", TASK, labels=["LABEL_0"])
    folder = _with_kind(source, tmp_path, kind)
    _check(
        ours(folder, TASK).one("A fine day"),
        theirs(folder, TASK)("A fine day", top_k=None),
    )


def test_top_k(tiny_model: Any, ours: Any, theirs: Any) -> None:
    folder = tiny_model("bert", TASK)
    for count in (1, 2, 9):
        _check(
            ours(folder, TASK).one("A day", top_k=count), theirs(folder, TASK)("A day", top_k=count)
        )


def _with_kind(source: Path, target: Path, kind: str | None) -> Path:
    folder = target / "model"
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    config["problem_type"] = kind
    (folder / "config.json").write_text(json.dumps(config))
    return folder
