"""Bundles of the fake backend, made in milliseconds: no torch, no vendor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge_tx.bundle_writer import BundleWriter
from edge_tx.manifest import TaskSettings
from edge_tx.text import TokenizerPolicy
from tests.data import fakes

WORDS = ("the", "a", "cat", "dog", "sat", "ran", "on", "mat", "good", "bad", "film", "paris")
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}

Width = str | int


@dataclass(frozen=True)
class Shape:
    """What the fake graph of a task returns, and the settings that go with it."""

    name: str
    width: tuple[Width, ...]
    settings: TaskSettings


SHAPES = {
    "sentence-embedding": Shape("sentence_embedding", (6,), TaskSettings(similarity="cosine")),
    "text-classification": Shape(
        "logits", (2,), TaskSettings(("bad", "good"), "single_label_classification")
    ),
    "text-ranking": Shape("logits", (1,), TaskSettings(activation="sigmoid")),
    "token-classification": Shape("logits", ("seq", 3), TaskSettings(("O", "B-cat", "I-cat"))),
    "feature-extraction": Shape("last_hidden_state", ("seq", 6), TaskSettings()),
    "fill-mask": Shape("logits", ("seq", 17), TaskSettings()),
}


def wide(shape: Shape, labels: int) -> Shape:
    """The same with that many labels, for graphs that need memory."""
    named = replace(shape.settings, labels=tuple(f"label {i}" for i in range(labels)))
    return Shape(shape.name, (*shape.width[:-1], labels), named)


def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = SPECIAL | {word: 5 + i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(["[MASK]"])
    return str(tokenizer.to_str())


@pytest.fixture
def fake_bundle(tmp_path: Path) -> Callable[..., Path]:
    """``fake_bundle(task, name=..., max_length=16, layers=None, labels=None) -> folder``."""

    def make(
        task: str,
        name: str = "fake.bundle",
        max_length: int = 16,
        layers: Mapping[str, Sequence[float]] | None = None,
        labels: int | None = None,
    ) -> Path:
        shape = SHAPES[task] if labels is None else wide(SHAPES[task], labels)
        policy = TokenizerPolicy(
            max_length=max_length,
            inputs=fakes.NAMES,
            special={"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4},
        )
        with BundleWriter(tmp_path / name) as writer:
            fakes.add_graph(writer, fakes.output(shape.name, *shape.width), layers=layers)
            return fakes.commit(writer, task, shape.settings, policy, tokenizer_json())

    return make


@dataclass(frozen=True)
class Finished:
    """A command line that has run."""

    code: int
    out: str
    err: str


@pytest.fixture
def edge_tx(capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Runs ``edge-tx ARGS`` in this process; stdin is empty unless given."""

    def call(*args: str | Path, stdin: bytes = b"") -> Finished:
        import io

        from edge_tx.cli.app import run

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setenv("COLUMNS", "80")
        capfdbinary.readouterr()
        code = run([str(arg) for arg in args])
        out, err = capfdbinary.readouterr()
        return Finished(code, out.decode(), err.decode())

    return call


@pytest.fixture
def edge_tx_process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``python -m edge_tx ARGS`` in a process of its own."""

    def call(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_tx", *map(str, args)]
        options = {"capture_output": True, "text": True, "check": False} | options
        return subprocess.run(command, **options)

    return call
