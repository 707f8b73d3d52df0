"""A bundle of the fake backend whose layers hurt by known amounts when they are rounded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_tx import golden, tasks
from edge_tx.backends import SessionConfig
from edge_tx.bundle_writer import BundleWriter
from edge_tx.manifest import TaskSettings
from edge_tx.runtimes.fake import FakeSession
from edge_tx.text import Tokenizer, TokenizerPolicy
from tests.data import fakes

WORDS = tuple(f"word{i}" for i in range(60))
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
WIDTH = 4

#: One weight of a thousand makes the small ones of its layer round to nothing.
SPOILED = (0.9, 1000.0, 1.1, 1.2)
HARMLESS = (1.0, 1.0, 1.0, 1.0)
SLIGHT = (1.0, 0.501, 1.0, 1.0)


def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = SPECIAL | {word: 4 + i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return str(tokenizer.to_str())


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 12))) for _ in range(count)]


@pytest.fixture
def some_texts() -> Callable[..., list[str]]:
    """``some_texts(count, seed=0)``: of 1 to 11 known words."""
    return texts


@pytest.fixture
def layered_bundle(tmp_path: Path) -> Callable[..., Path]:
    """``layered_bundle({"layer": weights}, task="sentence-embedding") -> folder``."""

    def make(
        layers: Mapping[str, Sequence[float]],
        task: str = "sentence-embedding",
        name: str = "layered.bundle",
    ) -> Path:
        output, settings = {
            "sentence-embedding": ("sentence_embedding", TaskSettings(similarity="cosine")),
            "text-classification": ("logits", TaskSettings(tuple("abcd"))),
        }[task]
        outputs = fakes.output(output, WIDTH)
        policy = TokenizerPolicy(
            max_length=16,
            inputs=fakes.NAMES,
            special={"pad": 0, "unk": 1, "cls": 2, "sep": 3},
        )
        made = tasks.create(task, settings)
        tokenizer = Tokenizer(tokenizer_json(), policy)
        session = FakeSession(
            fakes.INPUTS,
            outputs,
            SessionConfig(),
            [np.array(w, np.float32) for w in layers.values()],
        )
        cases = [
            golden.record(text, {}, tokenizer=tokenizer, task=made, run=session.run)
            for text in texts(4, seed=9)
        ]
        with BundleWriter(tmp_path / name) as writer:
            fakes.add_graph(writer, outputs, layers=layers)
            return fakes.commit(writer, task, settings, policy, tokenizer_json(), cases)

    return make


@pytest.fixture
def json_lines(tmp_path: Path) -> Callable[..., Path]:
    """``json_lines(rows, name="rows.jsonl") -> path``."""

    def write(rows: Sequence[object], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def told_while_quantizing(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """``told_while_quantizing(backend, graph, target, then="")``: stdout and stderr of a process.

    It quantises statically, and does what ``then`` says.
    """

    def run(backend: str, graph: Path, target: str, then: str = "") -> tuple[str, str]:
        code = f"""
import sys
from pathlib import Path
import numpy as np
from edge_tx.calibration import {backend}
from edge_tx.calibration.quantizer import Work
from edge_tx.calibration.recipe import parse
from edge_tx.calibration.target import TARGETS

ids = np.arange(5, 15)[None]
feeds = [{{"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}}] * 8
work = Work(Path({str(graph)!r}), Path({str(tmp_path)!r}), parse("static_w8a8"),
            lambda: iter(feeds), TARGETS[{target!r}])
{backend}.quantize(work)
{then}
"""
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr

    return run
