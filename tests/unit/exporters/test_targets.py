"""Which graphs an export is to make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_tx import backends
from edge_tx.errors import InvalidConfig, MissingDependency
from edge_tx.exporters.targets import plan

pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")


@pytest.fixture(autouse=True)
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``without(module)``: as if it were not installed."""

    def remove(module: str) -> None:
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name == module else object()
        )

    return remove


@pytest.mark.parametrize(
    ("to", "precision", "names"),
    [
        ("onnx", (), ["onnx-fp32"]),
        (("onnx", "openvino"), "fp32", ["onnx-fp32", "openvino-fp32"]),
        ("onnx, openvino:fp16", (), ["onnx-fp32", "openvino-fp16"]),
        ("openvino:fp32,openvino:fp16", (), ["openvino-fp32", "openvino-fp16"]),
        (
            "onnx,openvino,tensorrt",
            "fp32,fp16",
            ["onnx-fp32", "openvino-fp32", "openvino-fp16", "tensorrt-fp32", "tensorrt-fp16"],
        ),
        ("openvino:fp32,tensorrt", ("fp16",), ["openvino-fp32", "tensorrt-fp16"]),
    ],
)
def test_names(to: Any, precision: Any, names: list[str]) -> None:
    assert [target.name for target in plan(to, precision).targets] == names


def test_options_go_to_those_that_take_them() -> None:
    made = plan("onnx,tflite,tensorrt", opset=18, buckets="1x16,8x32")
    given = {t.name: (t.options.opset, t.options.buckets) for t in made.targets}
    buckets = ((1, 16), (8, 32))
    assert given == {
        "onnx-fp32": (18, ()),
        "tflite-fp32": (0, buckets),
        "tensorrt-fp32": (18, buckets),
    }
    assert not made.by_lengths


@pytest.mark.parametrize(
    ("buckets", "wanted", "longest"),
    [((), None, None), ((), 64, 64), ("1x16,8x32", None, 32), ("1x32", 64, 32), ("1x32", 32, 32)],
)
def test_rows_are_no_longer_than_the_longest_bucket(
    buckets: Any, wanted: int | None, longest: int | None
) -> None:
    assert plan("tensorrt", buckets=buckets).max_length(wanted) == longest


def test_bucket_longer_than_what_was_wanted_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="a bucket has 64 tokens, but the max_length is 32"):
        plan("tensorrt", buckets="1x64").max_length(32)


def test_auto_is_decided_by_the_texts() -> None:
    made = plan("tflite", buckets="auto")
    assert made.by_lengths
    assert made.targets[0].options.buckets == ()
    assert made.max_length(None) is None


def test_what_is_not_installed_loses_only_its_own_graph(without: Callable[[str], None]) -> None:
    without("litert_torch")
    made = plan("onnx,tflite")
    assert [target.name for target in made.targets] == ["onnx-fp32"]
    [failed] = made.failures
    assert failed.name == "tflite-fp32"
    assert isinstance(failed.error, MissingDependency)
    assert made.names == ("tflite-fp32", "onnx-fp32")


def test_tensorrt_needs_what_proves_it_and_not_itself(without: Callable[[str], None]) -> None:
    without("tensorrt")
    [target] = plan("tensorrt").targets
    assert target.prover is backends.find("onnx")
    without("onnxruntime")
    [failed] = plan("tensorrt").failures
    assert "pip install onnxruntime" in str(failed.error)
