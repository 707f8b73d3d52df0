"""Fill mask against transformers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_tx.errors import InvalidInput

pytestmark = pytest.mark.export

TASK = "fill-mask"
FAMILIES = ("bert", "roberta", "xlm-roberta", "deberta-v2", "albert", "modernbert")


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tiny_model: Any) -> Path:
    path: Path = tiny_model(request.param, TASK)
    return path


def _check(masks: Any, expected: list[Any]) -> None:
    rows = expected if isinstance(expected[0], list) else [expected]
    assert [[(f.token_id, f.token, f.sequence) for f in mask] for mask in masks] == [
        [(f["token"], f["token_str"], f["sequence"]) for f in mask] for mask in rows
    ]
    scores = [f.score for mask in masks for f in mask]
    assert scores == pytest.approx([f["score"] for mask in rows for f in mask], abs=1e-4)


def test_nasty_texts(folder: Path, ours: Any, theirs: Any, nasties: list[str]) -> None:
    pipe = theirs(folder, TASK)
    mask = pipe.tokenizer.mask_token
    texts = [f"{mask} {text}" for text in nasties] + [f"{t[:50]}{mask}{t[50:]}" for t in nasties]
    results = ours(folder, TASK)(texts)
    for text, result in zip(texts, results, strict=True):
        _check(result.masks, pipe(text, tokenizer_kwargs={"truncation": True}))


def test_several_masks(folder: Path, ours: Any, theirs: Any) -> None:
    pipe = theirs(folder, TASK)
    mask = pipe.tokenizer.mask_token
    text = f"The {mask} of {mask} is  {mask}."
    _check(ours(folder, TASK).one(text, top_k=3).masks, pipe(text, top_k=3))


@pytest.mark.filterwarnings("ignore:the target")
def test_targets(folder: Path, ours: Any, theirs: Any) -> None:
    pipe = theirs(folder, TASK)
    text = f"The {pipe.tokenizer.mask_token} is here."
    targets = ["the", "a", "unheardof", "in"]
    expected = pipe(text, targets=targets)
    _check(ours(folder, TASK).one(text, targets=targets).masks, expected)
    _check(ours(folder, TASK).one(text, targets=targets, top_k=2).masks, expected[:2])


@pytest.mark.parametrize("text", ["no mask at all", "", "word " * 5000 + "{mask}"])
def test_no_mask_is_one_line(folder: Path, ours: Any, theirs: Any, text: str) -> None:
    pipe = theirs(folder, TASK)
    text = text.format(mask=pipe.tokenizer.mask_token)
    with pytest.raises(Exception, match="mask_token"):
        pipe(text, tokenizer_kwargs={"truncation": True})
    with pytest.raises(InvalidInput, match="no mask token") as caught:
        ours(folder, TASK).one(text)
    assert "\n" not in str(caught.value)
