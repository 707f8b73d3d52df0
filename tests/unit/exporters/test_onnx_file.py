"""ONNX models on disk: what is beside the graph, and what must not be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_tx.errors import ExportFailed
from edge_tx.exporters import onnx_file

VALUES = np.arange(1 << 19, dtype=np.float32).reshape(1 << 10, 1 << 9)  # 2 MB


def model(values: np.ndarray = VALUES) -> onnx.ModelProto:
    rows, columns = values.shape
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", rows), ("y", columns))
    )
    weight = numpy_helper.from_array(values, "weight")
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    onnx_file.save_proto(model(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def weight_of(path: Path) -> np.ndarray:
    values: np.ndarray = numpy_helper.to_array(onnx_file.load(path).graph.initializer[0])
    return values


def test_large_weights_lie_beside_the_graph_and_come_back(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert saved.stat().st_size < 1000
    np.testing.assert_array_equal(weight_of(saved), VALUES)


def test_small_weights_stay_in_it(tmp_path: Path) -> None:
    onnx_file.save_proto(model(VALUES[:8, :8]), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    np.testing.assert_array_equal(weight_of(tmp_path / "model.onnx"), VALUES[:8, :8])


def test_whoever_may_read_the_graph_may_read_its_weights(saved: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in saved.parent.iterdir()}
    assert len(modes) == 1


def test_weights_with_two_hard_links_are_read(saved: Path, tmp_path: Path) -> None:
    os.link(f"{saved}.data", tmp_path / "again")
    np.testing.assert_array_equal(weight_of(saved), VALUES)


@pytest.mark.parametrize("place", ["../secret", "/etc/hostname", "a/b", "..", ""])
def test_weights_elsewhere_are_refused(place: str, saved: Path) -> None:
    changed = onnx.load(saved, load_external_data=False)
    entries = changed.graph.initializer[0].external_data
    next(entry for entry in entries if entry.key == "location").value = place
    saved.write_bytes(changed.SerializeToString())
    with pytest.raises(ExportFailed, match="not a file beside their graph"):
        onnx_file.load(saved)


def test_weights_that_are_cut_off_are_refused(saved: Path) -> None:
    data = Path(f"{saved}.data")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ExportFailed, match="ends before its weights do"):
        onnx_file.load(saved)
