"""One number for how near a graph is to fp32."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_tx.accuracy import accuracy_of
from edge_tx.manifest import Graph, Parity

FP32 = Graph(
    name="onnx-fp32",
    backend="onnx",
    precision="fp32",
    entry="",
    files=(),
    inputs=(),
    outputs=(),
    parity=Parity(10, 1e-6, 1.0, 1.0),
    metrics={"f1": 0.8, "em": 0.6},
)
INT8 = replace(FP32, name="onnx-int8", precision="int8", recipe="static_w8a8", metrics={})


def value(**metrics: float) -> float:
    graph = replace(INT8, metrics=metrics)
    return accuracy_of(graph, (FP32, graph)).value


def test_reference_is_perfect() -> None:
    assert accuracy_of(FP32, (FP32, INT8)).value == 1.0


def test_lowest_ratio_of_common_metrics_counts() -> None:
    assert value(f1=0.78, em=0.57) == pytest.approx(0.95)


def test_number_of_fp32_beside_the_graphs_own_goes_first() -> None:
    assert value(f1=0.78, f1_fp32=0.9) == pytest.approx(0.78 / 0.9)


def test_metric_against_the_reference_is_taken_as_it_is() -> None:
    assert value(cosine=0.97) == 0.97


def test_other_numbers_of_the_manifest_are_no_metric() -> None:
    graph = replace(INT8, metrics={"latency_ns_seq32": 5e6}, parity=Parity(10, 0.1, 0.98, 0.9))
    assert accuracy_of(graph, (FP32, graph)).value == 0.9


@pytest.mark.parametrize(("cosine", "agreement"), [(0.98, 1.0), (1.0, 0.98)])
def test_without_a_metric_the_lower_of_cosine_and_agreement(
    cosine: float, agreement: float
) -> None:
    graph = replace(INT8, parity=Parity(10, 0.1, cosine, agreement))
    assert accuracy_of(graph, (graph,)).value == 0.98


def test_reference_that_scores_nothing_is_no_measure() -> None:
    nothing = replace(FP32, metrics={"f1": 0.0})
    graph = replace(INT8, metrics={"f1": 0.1})
    assert accuracy_of(graph, (nothing, graph)).measure.startswith("share of answers")
