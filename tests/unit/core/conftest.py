from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.golden import Golden, GoldenArray, GoldenCase, GoldenRow
from edge_tx.manifest import Parity, Source, TaskSettings
from edge_tx.tensors import DType, TensorSpec
from edge_tx.text import TokenizerPolicy

POLICY = TokenizerPolicy(
    max_length=16, inputs=("input_ids", "attention_mask", "token_type_ids"), special={"pad": 0}
)
INPUTS = tuple(TensorSpec(name, DType.INT64, ("batch", "seq")) for name in POLICY.inputs)
OUTPUTS = (TensorSpec("logits", DType.FLOAT32, ("batch", 2)),)
SETTINGS = TaskSettings(labels=("NEGATIVE", "POSITIVE"), prompts={"query": "query:\n"})
SOURCE = Source(
    name="tiny", sha256="ab" * 32, model_type="bert", architecture="Bert", modules=("pooling:mean",)
)
GOLDEN = Golden(
    (
        GoldenCase(
            input="hello",
            options={},
            rows=(GoldenRow((1,), (0,), {"logits": GoldenArray((2,), 1, (0.5, -0.25))}),),
            result={"label": "NEGATIVE", "score": 0.6},
        ),
    )
)
PARITY = Parity(texts=3, max_abs_error=1e-6, min_cosine=0.999999, agreement=1.0)
CREATED = "2026-01-02T03:04:05+00:00"

WriteBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    import tokenizers

    words = ["[PAD]", "[UNK]", "hello", "world", "good", "bad"]
    model = tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    tok = tokenizers.Tokenizer(model)
    tok.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return str(tok.to_str())


@pytest.fixture(scope="session")
def write_bundle(tokenizer_json: str) -> WriteBundle:
    """Writes a small bundle: one graph of two files, one in a folder of its own."""

    def write(
        dest: Path,
        weights: bytes = b"weights",
        graphs: tuple[str, ...] = ("onnx-fp32",),
        golden: Golden = GOLDEN,
        created: str | None = CREATED,
    ) -> Bundle:
        with BundleWriter(dest) as writer:
            for name in graphs:
                add_graph(writer, name, weights)
            return commit(writer, tokenizer_json, golden, created)

    return write


def add_graph(writer: BundleWriter, name: str, weights: bytes = b"weights") -> None:
    folder = writer.graph_folder(name)
    (folder / "model.onnx").write_bytes(b"graph of " + name.encode())
    (folder / "data").mkdir()
    (folder / "data" / "weights.bin").write_bytes(weights)
    writer.add_graph(
        name=name,
        backend=name.partition("-")[0],
        precision="fp32",
        entry=folder / "model.onnx",
        inputs=INPUTS,
        outputs=OUTPUTS,
        parity=PARITY,
        route="made up",
        metrics={"accuracy": 0.5},
        tools={"none": "1.0"},
    )


def commit(
    writer: BundleWriter,
    tokenizer_json: str,
    golden: Golden = GOLDEN,
    created: str | None = CREATED,
    **changes: Any,
) -> Bundle:
    arguments: dict[str, Any] = {
        "task": "text-classification",
        "source": SOURCE,
        "settings": SETTINGS,
        "tokenizer": POLICY,
        "tokenizer_json": tokenizer_json,
        "golden": golden,
        "created": created,
    }
    return writer.commit(**(arguments | changes))


@pytest.fixture
def bundle(tmp_path: Path, write_bundle: WriteBundle) -> Bundle:
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def adder() -> Callable[[BundleWriter, str], None]:
    return add_graph


@pytest.fixture
def committer(tokenizer_json: str) -> Callable[..., Bundle]:
    def run(writer: BundleWriter, **changes: Any) -> Bundle:
        return commit(writer, tokenizer_json, **changes)

    return run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("EDGE_TX_CACHE", str(cache))
    return cache


@pytest.fixture
def contents() -> Callable[[Path], Mapping[str, bytes]]:
    """Bytes by path of what a folder holds."""

    def read(root: Path) -> Mapping[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    return read
