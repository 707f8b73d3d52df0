"""Ours and transformers' side by side, on the same weights in fp32 torch, without an export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edge_tx import tasks
from edge_tx.text import Tokenizer, collate

# Lone surrogates stand in the tests of bad input: every tokenizer refuses them.
NASTY = {
    "plain": "The quick brown fox jumps over the lazy dog in Berlin.",
    "empty": "",
    "spaces": "   ",
    "all whitespace": " \t\n\r\x0b\x0c\u00a0\u2003\u3000 ",
    "newlines and tabs": "one\ttwo\nthree\r\nfour\x0bfive\u2028six",
    "emoji": "👨‍👩‍👧‍👦 at 🇩🇪🇫🇷 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽 ❤️ 1️⃣",
    "cjk": "東京タワーは日本の首都にあります。这是中文。한국어 문장",
    "right to left": "شرکت اپل در تهران است، ירושלים \u202eabc\u202c",
    "combining": "Cafe\u0301 Zu\u0308rich n\u0303a\u0323\u0302 Z\u0351\u036b\u0343algo",
    "composed": "Café Zürich ñậ ﬁ Ⅷ ½ ﬀ Å",
    "nul": "before\x00after \x00",
    "controls": "\x01\x02 a\x07b\x1b[31m \x7f \x85 \u200b\u200d\u00ad\ufffd",
    "byte order mark": "\ufeffstart \ufeff middle",
    "one long word": "Donaudampfschifffahrtsgesellschaft" * 40,
    "mixed scripts": "Пётр met 東京 नमस्ते מה ไทย ελληνικά and Ω≈ç√",
    "special tokens": "a [SEP] b [CLS] c </s> <s> [PAD] <pad> [UNK]",
    "punctuation": "don't, won't... 'it' -- (a) ' n't 's !? \"x\" #@$%^&*",
    "astral": "𝕳𝖊𝖑𝖑𝖔 𓀀 𐍈 \U0010fffd \uffff",
    "long": "The year 1999 was long in New York. " * 100,
    "100,000 characters": ("Angela Merkel visited the city of Paris in 2012. " * 2050)[:100_000],
}


@dataclass(frozen=True)
class Ours:
    """A task on torch: what a Model does, without a bundle."""

    task: tasks.Task
    tokenizer: Tokenizer
    run: Callable[[Any], Any]

    def __call__(self, values: Sequence[Any], **options: Any) -> list[Any]:
        """Answers all values in one padded batch."""
        chosen = self.task.options(**options)
        items = [self.task.parse(value, chosen) for value in values]
        rows = self.task.encode(self.tokenizer, items, chosen)
        parts = self.task.reduce(self.run(collate(rows, self.tokenizer.policy)), rows, chosen)
        results = []
        for i, item in enumerate(items):
            mine = [k for k, row in enumerate(rows) if row.item == i]
            results.append(
                self.task.decode(
                    self.tokenizer, item, [rows[k] for k in mine], [parts[k] for k in mine], chosen
                )
            )
        return results

    def one(self, value: Any, **options: Any) -> Any:
        """Answers one value."""
        return self([value], **options)[0]


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are done sooner than threads are woken, above all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ours() -> Callable[..., Ours]:
    """``ours(folder, task, max_length=None)``."""
    from edge_tx.exporters import source

    @cache
    def load(folder: Path, task: str, max_length: int | None = None) -> Ours:
        traced = source.load(folder, task=task, max_length=max_length)
        tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
        return Ours(tasks.create(task, traced.settings), tokenizer, traced.reference)

    return load


@pytest.fixture(scope="session")
def theirs() -> Callable[[Path, str], Any]:
    """``theirs(folder, task)``: transformers' pipeline in fp32."""
    import torch
    from transformers import pipeline

    @cache
    def load(folder: Path, task: str) -> Any:
        return pipeline(task, model=str(folder), dtype=torch.float32, device="cpu")

    return load


@pytest.fixture
def nasties(request: pytest.FixtureRequest) -> list[str]:
    """A text of each nasty kind; the 100,000 characters, which take long, for BERT only."""
    values = getattr(getattr(request.node, "callspec", None), "params", {}).values()
    return [text for text in NASTY.values() if "bert" in values or len(text) < 100_000]
