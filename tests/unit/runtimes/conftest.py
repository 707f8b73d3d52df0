"""A graph made by hand, for tests of sessions that need a real one but no checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def onnx_graph(tmp_path: Path) -> Callable[..., Path]:
    """``onnx_graph(seed=0, width=8, half=False, operator="Tanh") -> graphs/<name>/model.onnx``.

    Inputs ``input_ids`` and ``attention_mask``; outputs ``sentence_embedding[batch, width]`` and
    ``tokens[batch, seq, width]``. Beside it lies a ``profiles.json`` of two profiles.
    """

    def make(
        name: str = "graph", seed: int = 0, width: int = 8, half: bool = False, operator: str = "Tanh"
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
