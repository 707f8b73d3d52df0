"""A graph made by hand, for tests of sessions that need a real one but no checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_tx.backends import SessionConfig


@pytest.fixture
def onnx_graph(tmp_path: Path) -> Callable[..., Path]:
    """``onnx_graph(seed=0, width=8, half=False, operator="Tanh") -> graphs/<name>/model.onnx``.

    Inputs ``input_ids`` and ``attention_mask``; outputs ``sentence_embedding[batch, width]`` and
    ``tokens[batch, seq, width]``. Beside it lies a ``profiles.json`` of two profiles.
    """

    def make(
        name: str = "graph",
        seed: int = 0,
        width: int = 8,
        half: bool = False,
        operator: str = "Tanh",
    ) -> Path:
        import numpy as np
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        rng = np.random.default_rng(seed)
        kind, dtype = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
        table = numpy_helper.from_array(rng.normal(size=(64, width)).astype(dtype), "table")
        weight = numpy_helper.from_array(rng.normal(size=(width, width)).astype(dtype), "weight")
        last = numpy_helper.from_array(np.array([-1], np.int64), "last")
        second = numpy_helper.from_array(np.array([1], np.int64), "second")
        steps: list[Any] = [
            helper.make_node("Gather", ["table", "input_ids"], ["looked_up"], name="look_up"),
            helper.make_node("Cast", ["attention_mask"], ["mask"], name="cast", to=kind),
            helper.make_node("Unsqueeze", ["mask", "last"], ["column"], name="column"),
            helper.make_node("Mul", ["looked_up", "column"], ["masked"], name="hide"),
            helper.make_node("MatMul", ["masked", "weight"], ["mixed"], name="mix"),
            helper.make_node(operator, ["mixed"], ["bent"], name="bend"),
            helper.make_node("ReduceSum", ["bent", "second"], ["pooled"], name="pool", keepdims=0),
            helper.make_node("Cast", ["pooled"], ["sentence_embedding"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["bent"], ["tokens"], to=TensorProto.FLOAT),
        ]

        def tensor(name: str, elem: int, *shape: Any) -> Any:
            return helper.make_tensor_value_info(name, elem, list(shape))

        graph = helper.make_graph(
            steps,
            "made_by_hand",
            [tensor(n, TensorProto.INT64, "batch", "seq") for n in ("input_ids", "attention_mask")],
            [
                tensor("sentence_embedding", TensorProto.FLOAT, "batch", width),
                tensor("tokens", TensorProto.FLOAT, "batch", "seq", width),
            ],
            [table, weight, last, second],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        folder = tmp_path / "graphs" / name
        folder.mkdir(parents=True)
        onnx.save(model, folder / "model.onnx")
        (folder / "profiles.json").write_text(
            '{"schema": 1, "profiles": ['
            '{"batch": {"min": 1, "opt": 1, "max": 1}, "seq": {"min": 1, "opt": 16, "max": 16}},'
            '{"batch": {"min": 1, "opt": 4, "max": 6}, "seq": {"min": 1, "opt": 16, "max": 32}}]}'
        )
        return folder / "model.onnx"

    return make


def _tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "a", "mat")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


@pytest.fixture
def engine_bundle(onnx_graph: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """``engine_bundle(backend, name="engines.bundle") -> folder`` with one graph to build."""

    def make(backend: str, name: str = "engines.bundle") -> Path:
        import shutil

        import onnxruntime as ort

        from edge_tx import golden, tasks
        from edge_tx.bundle_writer import BundleWriter
        from edge_tx.manifest import Parity, Source, TaskSettings
        from edge_tx.tensors import DType, TensorSpec
        from edge_tx.text import Tokenizer, TokenizerPolicy

        entry = onnx_graph(f"{name}-graph")
        inputs = ("input_ids", "attention_mask")
        policy = TokenizerPolicy(max_length=32, inputs=inputs)
        settings = TaskSettings(similarity="cosine")
        native = ort.InferenceSession(str(entry))
        outputs = [value.name for value in native.get_outputs()]
        case = golden.record(
            "the cat sat",
            {},
            tokenizer=Tokenizer(_tokenizer_json(), policy),
            task=tasks.create("sentence-embedding", settings),
            run=lambda feeds: dict(zip(outputs, native.run(outputs, dict(feeds)), strict=True)),
        )
        with BundleWriter(tmp_path / name) as writer:
            folder = writer.graph_folder(f"{backend}-fp32")
            shutil.copytree(entry.parent, folder, dirs_exist_ok=True)
            writer.add_graph(
                name=f"{backend}-fp32",
                backend=backend,
                precision="fp32",
                entry=folder / "model.onnx",
                inputs=[TensorSpec(n, DType.INT64, ("batch", "seq")) for n in inputs],
                outputs=[TensorSpec("sentence_embedding", DType.FLOAT32, ("batch", 8))],
                parity=Parity(texts=1, max_abs_error=1e-6, min_cosine=1.0, agreement=1.0),
                route="by hand",
            )
            writer.commit(
                task="sentence-embedding",
                source=Source("cats", "0" * 64, "bert", "BertModel"),
                settings=settings,
                tokenizer=policy,
                tokenizer_json=_tokenizer_json(),
                golden=golden.Golden((case,)),
            )
        return tmp_path / name

    return make


@pytest.fixture
def fake_graphs(tmp_path: Path) -> Callable[..., Path]:
    """``fake_graphs({"name": {"backend": ..., "recipe": ...}}) -> folder`` of a bundle.

    All graphs are the fake backend's file, whatever backend their record names.
    """

    def make(graphs: dict[str, dict[str, Any]], broken: tuple[str, ...] = ()) -> Path:
        from edge_tx import golden, tasks
        from edge_tx.bundle_writer import BundleWriter
        from edge_tx.manifest import TaskSettings
        from edge_tx.runtimes import fake
        from edge_tx.text import Tokenizer, TokenizerPolicy
        from tests.data import fakes

        outputs = fakes.output("sentence_embedding", 8)
        policy = TokenizerPolicy(max_length=32, inputs=fakes.NAMES)
        settings = TaskSettings(similarity="cosine")
        session = fake.FakeSession(fakes.INPUTS, outputs, SessionConfig())
        tokenizer = Tokenizer(_tokenizer_json(), policy)
        task = tasks.create("sentence-embedding", settings)
        cases = [
            golden.record(text, {}, tokenizer=tokenizer, task=task, run=session.run)
            for text in ("the cat", "the cat sat on a mat", "a mat")
        ]
        with BundleWriter(tmp_path / "fakes.bundle") as writer:
            for name, facts in graphs.items():
                recipe = facts.get("recipe", "")
                fakes.add_graph(
                    writer,
                    outputs,
                    name,
                    broken=name in broken,
                    backend=facts.get("backend", "fake"),
                    precision="int8" if recipe else "fp32",
                    recipe=recipe,
                    parity=replace(fakes.PARITY, min_cosine=facts.get("cosine", 1.0)),
                )
            text = _tokenizer_json()
            return fakes.commit(writer, "sentence-embedding", settings, policy, text, cases)

    return make


@pytest.fixture
def edge_tx_modules() -> Callable[[str], set[str]]:
    """``edge_tx_modules(code) -> names`` of edge_tx' own modules that a fresh process loads."""

    def run(code: str) -> set[str]:
        import subprocess
        import sys

        script = f"{code}\nimport sys; print(*(m for m in sys.modules if m.startswith('edge_tx')))"
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    return run
