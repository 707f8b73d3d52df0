"""Which graph is taken, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx import backends
from edge_tx.bundle import Bundle
from edge_tx.errors import AccuracyGateFailed, InvalidConfig, MissingDependency, UnknownName
from edge_tx.runtimes.selection import Choice, choose
from edge_tx.tuning import Goal, Measurement, Tuning
from edge_tx.tuning_store import bundle_hash, machine_for, place_of, save

Graphs = dict[str, dict[str, Any]]

THREE: Graphs = {
    "onnx-int8": {"backend": "onnx", "recipe": "dynamic_w8", "cosine": 0.98},
    "openvino-fp32": {"backend": "openvino"},
    "onnx-fp32": {"backend": "onnx"},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Vendor modules that count as installed."""
    modules = {"onnxruntime", "openvino", "numpy", "tensorrt"}
    monkeypatch.setattr(backends, "_is_installed", lambda module: module in modules)
    return modules


@pytest.fixture
def three(fake_graphs: Callable[..., Path]) -> Bundle:
    return Bundle.open(fake_graphs(THREE))


def remember(bundle: Bundle, goal: Goal = Goal.LATENCY, **milliseconds: float | str) -> None:
    """Remembers a time for each graph, its name with a low line; a text is a failure."""
    graphs = []
    for name, value in milliseconds.items():
        graph = bundle.graph(name.replace("_", "-"))
        if isinstance(value, str):
            graphs.append(Measurement(graph.name, graph.backend, problem=value))
            continue
        ns, peak = int(value * 1e6), int(1e9 / value)
        graphs.append(Measurement(graph.name, graph.backend, ns, ns, 1000 / value, peak, ns))
    tuning = Tuning(
        bundle_hash(bundle), machine_for(bundle), "auto", 2, goal, None, tuple(graphs), "now", "0"
    )
    save(tuning, place_of(bundle))


def verdict(choice: Choice, graph: str) -> str:
    return next(c.verdict for c in choice.candidates if c.graph == graph)


def test_without_a_measurement_the_order_counts_and_quantised_come_last(three: Bundle) -> None:
    choice = choose(three)
    assert choice.graph.name == "onnx-fp32"
    assert "edge-tx tune" in choice.reason
    assert [c.graph for c in choice.candidates] == ["onnx-fp32", "openvino-fp32", "onnx-int8"]
    assert verdict(choice, "onnx-fp32") == "chosen"
    assert verdict(choice, "openvino-fp32") == "later in the order"


def test_best_measured_is_taken(three: Bundle) -> None:
    remember(three, onnx_fp32=8.0, openvino_fp32=6.0, onnx_int8=4.0)
    choice = choose(three)
    assert choice.graph.name == "onnx-int8"
    assert choice.reason.startswith("best latency measured on this device: 4.00 ms a call")
    assert "2.00 times" in verdict(choice, "onnx-fp32")


@pytest.mark.parametrize(
    ("goal", "best"),
    [(Goal.THROUGHPUT, "openvino-fp32"), (Goal.MEMORY, "onnx-fp32")],
)
def test_goal_decides(three: Bundle, goal: Goal, best: str) -> None:
    remember(three, goal, onnx_fp32=8.0, openvino_fp32=6.0)
    assert choose(three).graph.name == best


def test_near_ties_go_to_the_order(three: Bundle) -> None:
    remember(three, onnx_fp32=4.1, openvino_fp32=4.0, onnx_int8=4.05)
    assert choose(three).graph.name == "onnx-fp32"


def test_limit_refuses_what_is_faster(three: Bundle) -> None:
    remember(three, onnx_fp32=8.0, openvino_fp32=6.0, onnx_int8=4.0)
    choice = choose(three, min_accuracy=0.99)
    assert choice.graph.name == "openvino-fp32"
    assert "accuracy 0.9800 is below 0.99" in verdict(choice, "onnx-int8")


def test_graph_that_failed_is_not_taken_while_there_is_another(three: Bundle) -> None:
    remember(three, onnx_fp32="crashed", openvino_fp32="crashed", onnx_int8=9.0)
    choice = choose(three)
    assert choice.graph.name == "onnx-int8"
    assert "crashed" in verdict(choice, "onnx-fp32")


def test_graph_that_is_not_installed_is_refused_with_its_line(
    three: Bundle, installed: set[str]
) -> None:
    installed.discard("onnxruntime")
    choice = choose(three)
    assert choice.graph.name == "openvino-fp32"
    assert "pip install onnxruntime" in verdict(choice, "onnx-fp32")


def test_graph_that_must_be_built_is_taken_only_alone(fake_graphs: Callable[..., Path]) -> None:
    both = {"tensorrt-fp32": {"backend": "tensorrt"}, "fake-int8": {"recipe": "dynamic_w8"}}
    choice = choose(Bundle.open(fake_graphs(both)))
    assert choice.graph.name == "fake-int8"
    assert verdict(choice, "tensorrt-fp32") not in ("chosen", "later in the order")


def test_graph_that_must_be_built_is_taken_alone(fake_graphs: Callable[..., Path]) -> None:
    alone = {"tensorrt-fp32": {"backend": "tensorrt"}}
    assert choose(Bundle.open(fake_graphs(alone))).graph.name == "tensorrt-fp32"


def test_device_narrows_the_choice(three: Bundle) -> None:
    choice = choose(three, device="npu")
    assert choice.graph.name == "openvino-fp32"
    assert verdict(choice, "onnx-fp32") == "onnx has no device 'npu'"


@pytest.mark.parametrize(
    ("arguments", "chosen", "reason"),
    [
        ({"backend": "onnx"}, "onnx-fp32", "backend 'onnx'"),
        ({"graph": "onnx-int8"}, "onnx-int8", "by name"),
    ],
)
def test_what_is_asked_for_is_taken_measured_or_not(
    three: Bundle, arguments: dict[str, str], chosen: str, reason: str
) -> None:
    remember(three, onnx_fp32=8.0, openvino_fp32=6.0, onnx_int8=4.0)
    choice = choose(three, **arguments)  # type: ignore[arg-type]
    assert choice.graph.name == chosen
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"device": "abacus"}, UnknownName, "cpu, cuda"),
        ({"graph": "onnx-int8", "min_accuracy": 0.99}, AccuracyGateFailed, "below 0.99"),
        ({"min_accuracy": 1.5}, InvalidConfig, "0 to 1"),
        ({"backend": "tflite"}, UnknownName, "onnx"),
    ],
)
def test_nothing_stands(
    three: Bundle, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        choose(three, **arguments)


def test_nothing_is_installed(three: Bundle, installed: set[str]) -> None:
    installed.clear()
    with pytest.raises(MissingDependency, match="pip install onnxruntime"):
        choose(three)


def test_damaged_measurement_is_told_by_describe(fake_graphs: Callable[..., Path]) -> None:
    path = fake_graphs({"fake-fp32": {}, "fake-int8": {"recipe": "dynamic_w8"}})
    bundle = Bundle.open(path)
    remember(bundle, fake_fp32=8.0, fake_int8=4.0)
    with edge_tx.load(path) as model:
        assert model.describe().graph == "fake-int8"
        assert model.describe().warning == ""
    place_of(bundle).write_text("{")
    with edge_tx.load(path) as model:
        told = model.describe()
        assert told.graph == "fake-fp32"
        assert "is ignored" in told.warning
        assert [c.graph for c in told.candidates] == ["fake-fp32", "fake-int8"]


def test_bundle_of_one_graph_looks_for_no_measurement(
    fake_graphs: Callable[..., Path], edge_tx_modules: Callable[[str], set[str]]
) -> None:
    path = fake_graphs({"fake-fp32": {}})
    loaded = edge_tx_modules(f"import edge_tx; edge_tx.load({str(path)!r})")
    assert not {m for m in loaded if m.startswith(("edge_tx.tuning", "edge_tx.accuracy"))}
    assert "edge_tx.runtimes.fake" in loaded


def test_where_nothing_was_measured_no_records_are_loaded(
    fake_graphs: Callable[..., Path], edge_tx_modules: Callable[[str], set[str]]
) -> None:
    path = fake_graphs({"fake-fp32": {}, "fake-int8": {}})
    loaded = edge_tx_modules(f"import edge_tx; edge_tx.load({str(path)!r})")
    assert "edge_tx.tuning_store" in loaded
    unused = {"edge_tx.tuning", "edge_tx.runtimes.description", "edge_tx.archive"}
    assert not unused & loaded
