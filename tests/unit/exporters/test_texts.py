"""The shipped texts are what each task takes, and cover what they claim."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from edge_tx import tasks
from edge_tx.errors import UnsupportedModel
from edge_tx.exporters import source, texts
from edge_tx.text import Tokenizer

_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "BENGALI",
    "THAI",
    "CJK",
    "HIRAGANA",
    "HANGUL",
    "COMBINING",
)


@pytest.mark.parametrize("script", _SCRIPTS)
def test_script_is_there(script: str) -> None:
    assert any(unicodedata.name(c, "").startswith(script) for text in texts.TEXTS for c in text)


def test_short_and_long_ones() -> None:
    words = [len(text.split()) for text in texts.TEXTS]
    assert len(texts.TEXTS) == len(set(texts.TEXTS)) >= 40
    assert min(len(text) for text in texts.TEXTS) == 1
    assert max(words) > 200


@pytest.mark.parametrize("task", sorted(tasks.TASKS))
def test_inputs_are_what_the_task_takes(task: str, tiny_model: Any) -> None:
    traced = source.load(tiny_model("bert", task), task=task)
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    made = tasks.create(task, traced.settings)
    options = made.options(**texts.options_for(task))
    inputs = texts.inputs_for(task, tokenizer)
    items = [made.parse(value, options) for value in inputs]
    rows = made.encode(tokenizer, items, options)
    assert len(inputs) >= 12
    assert {row.item for row in rows} == set(range(len(items)))
    assert max(len(row.ids) for row in rows) > 4 * min(len(row.ids) for row in rows)


def test_fill_mask_needs_a_mask(tiny_model: Any) -> None:
    import dataclasses

    traced = source.load(tiny_model("bert", "fill-mask"), task="fill-mask")
    policy = dataclasses.replace(traced.policy, special={})
    with pytest.raises(UnsupportedModel, match="mask token"):
        texts.inputs_for("fill-mask", Tokenizer(traced.tokenizer_json, policy))
