"""A bundle of the fake backend whose layers hurt by known amounts when they are rounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_tx import golden, tasks
from edge_tx.backends import SessionConfig
from edge_tx.bundle_writer import BundleWriter
from edge_tx.manifest import Parity, Source, TaskSettings
from edge_tx.runtimes.fake import FakeSession, write_graph
from edge_tx.tensors import DType, TensorSpec
from edge_tx.text import Tokenizer, TokenizerPolicy

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
        inputs = tuple(
            TensorSpec(n, DType.INT64, ("batch", "seq")) for n in ("input_ids", "attention_mask")
        )
        outputs = (TensorSpec(output, DType.FLOAT32, ("batch", WIDTH)),)
        policy = TokenizerPolicy(
            max_length=16,
            inputs=("input_ids", "attention_mask"),
            special={"pad": 0, "unk": 1, "cls": 2, "sep": 3},
        )
        made = tasks.create(task, settings)
        tokenizer = Tokenizer(tokenizer_json(), policy)
        session = FakeSession(
            inputs, outputs, SessionConfig(), [np.array(w, np.float32) for w in layers.values()]
        )
        cases = tuple(
            golden.record(text, {}, tokenizer=tokenizer, task=made, run=session.run)
            for text in texts(4, seed=9)
        )
        with BundleWriter(tmp_path / name) as writer:
            entry = writer.graph_folder("fake-fp32") / "model.fake.json"
            writer.add_graph(
                name="fake-fp32",
                backend="fake",
                precision="fp32",
                entry=write_graph(entry, inputs, outputs, layers),
                inputs=inputs,
                outputs=outputs,
                parity=Parity(texts=4, max_abs_error=1e-7, min_cosine=1.0, agreement=1.0),
                route="by hand",
            )
            writer.commit(
                task=task,
                source=Source("words", "0" * 64, "bert", "BertModel"),
                settings=settings,
                tokenizer=policy,
                tokenizer_json=tokenizer_json(),
                golden=golden.Golden(cases),
            )
        return tmp_path / name

    return make


@pytest.fixture
def json_lines(tmp_path: Path) -> Callable[..., Path]:
    """``json_lines(rows, name="rows.jsonl") -> path``."""

    def write(rows: Sequence[object], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
