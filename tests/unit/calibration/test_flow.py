"""Quantising a bundle of the fake backend, whose layers hurt by known amounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx.bundle import Bundle
from edge_tx.calibration.recipe import parse
from edge_tx.errors import AccuracyGateFailed, InvalidConfig, InvalidInput, UnknownName
from edge_tx.stamps import graph_stamp, same_space

# Not this machine, so that nothing is timed.
AWAY: dict[str, Any] = {"target": "x86-vnni", "backend": "fake"}
HARMLESS = (1.0, 1.0, 1.0, 1.0)
SPOILED = (0.9, 1000.0, 1.1, 1.2)

Make = Callable[..., Path]
Texts = Callable[..., list[str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_graph_is_added_beside_the_old_one(layered_bundle: Make, some_texts: Texts) -> None:
    path = layered_bundle({"layer.0": HARMLESS, "layer.1": (1.0, 0.5, 0.25, 0.126)})
    done = edge_tx.quantize(path, data=some_texts(40), recipe="static_w8a8", **AWAY)
    [outcome] = done.outcomes
    assert outcome.written
    assert outcome.steps == ()
    assert outcome.score == pytest.approx(1.0, abs=1e-3)
    with Bundle.open(path) as bundle:
        bundle.check()
        assert [graph.name for graph in bundle.graphs] == ["fake-fp32", "fake-static_w8a8"]
        graph = bundle.graph("fake-static_w8a8")
    assert graph.recipe == "static_w8a8"
    assert graph.precision == "int8"
    assert len(graph.calibration) == 64
    assert graph.metrics["cosine"] == outcome.score
    assert graph.metrics["cosine_fp32"] == 1.0
    assert graph.parity.texts > 40
    assert 0 < graph.parity.max_abs_error < 0.1


def test_a_harmful_layer_is_returned_to_float_and_nothing_else(
    layered_bundle: Make, some_texts: Texts
) -> None:
    path = layered_bundle({"layer.0": HARMLESS, "layer.1": SPOILED, "layer.2": HARMLESS,
                           "layer.3": tuple(1 / w for w in SPOILED)})  # fmt: skip
    done = edge_tx.quantize(path, data=some_texts(40), max_drop=0.001, **AWAY)
    [outcome] = done.outcomes
    assert outcome.written
    assert outcome.first is not None
    assert outcome.first < 0.999
    assert set(outcome.kept) == {"layer.1", "layer.3"}
    assert [step.groups for step in outcome.steps] == [(unit,) for unit in outcome.kept] or [
        step.groups for step in outcome.steps
    ] == [(unit,) for unit in reversed(outcome.kept)]
    graph = done.bundle.graph("fake-dynamic_w8")
    assert parse(graph.recipe).keep_float == ("layer.1", "layer.3")
    assert graph.calibration == ""  # dynamic: nothing was calibrated


def test_the_recorded_recipe_makes_the_same_graph_without_a_gate(
    layered_bundle: Make, some_texts: Texts, tmp_path: Path
) -> None:
    path = layered_bundle({"layer.0": SPOILED, "layer.1": HARMLESS})
    first = edge_tx.quantize(path, data=some_texts(40), max_drop=0.001, **AWAY).bundle
    recipe = first.graph("fake-dynamic_w8").recipe
    again = edge_tx.quantize(
        path, tmp_path / "again.bundle", data=some_texts(40), max_drop=2, recipe=recipe, **AWAY
    )
    one, other = (b.graph("fake-dynamic_w8").files for b in (first, again.bundle))
    assert one == other
    assert again.outcomes[0].steps == ()


def test_a_gate_that_never_holds_leaves_the_bundle_as_it_was(
    layered_bundle: Make, some_texts: Texts
) -> None:
    path = layered_bundle({"layer.0": SPOILED, "layer.1": tuple(1 / w for w in SPOILED)})
    before = contents(path)
    with pytest.raises(AccuracyGateFailed, match=r"falls from 1\.0+ to 0\.\d+.*nothing was"):
        edge_tx.quantize(path, data=some_texts(40), max_drop=0.0, **AWAY)
    assert contents(path) == before
    assert list(path.parent.glob(".*")) == []


def test_one_job_that_fails_does_not_lose_the_others(
    layered_bundle: Make, some_texts: Texts
) -> None:
    path = layered_bundle({"layer.0": HARMLESS})
    done = edge_tx.quantize(path, data=some_texts(40), recipe=["weight_w4", "weight_w8"], **AWAY)
    assert [outcome.written for outcome in done.outcomes] == [False, True]
    [failed] = done.failures
    assert isinstance(failed.error, InvalidConfig)
    assert "fake cannot do 'weight_w4'" in failed.reason
    assert [graph.name for graph in done.bundle.graphs] == ["fake-fp32", "fake-weight_w8"]
    assert json.loads(json.dumps(done.to_dict()))["outcomes"][0]["error"] == failed.reason


def test_labels_are_measured_with_the_task_metric(
    layered_bundle: Make, some_texts: Texts, json_lines: Callable[..., Path]
) -> None:
    path = layered_bundle({"layer.0": (1.0, 1.01, 0.99, 1.02)}, task="text-classification")
    with edge_tx.load(path, backend="fake") as model:
        rows = [{"text": t, "label": model(t).label} for t in some_texts(60)]
    dev = json_lines(rows)
    done = edge_tx.quantize(
        path, data=some_texts(30, seed=4), dev=dev, metric="accuracy", max_drop=0.2, **AWAY
    )
    [outcome] = done.outcomes
    assert outcome.fp32 == 1.0
    assert outcome.score is not None
    assert 0.8 <= outcome.score <= 1.0
    board = edge_tx.evaluate(path, dev, ["accuracy", "f1"])
    assert [row.graph for row in board.rows] == ["fake-fp32", "fake-dynamic_w8"]
    assert board.rows[0].scores == {"accuracy": 1.0, "f1": 1.0}
    assert board.rows[1].scores["accuracy"] == outcome.score


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"backend": "onxn"}, UnknownName, "did you mean 'onnx'"),
        ({"recipe": "static_w9"}, UnknownName, "unknown recipe"),
        ({"metric": "acuracy"}, UnknownName, "unknown metric"),
        ({"metric": "em"}, InvalidConfig, "'em' is not for 'sentence-embedding'"),
        ({"target": "z80"}, UnknownName, "unknown target"),
        ({"goal": "fun"}, InvalidConfig, "goal must be speed or size"),
        ({"max_drop": float("nan")}, InvalidConfig, "max_drop must be 0 to 2"),
        ({"recipe": ["weight_w8", "weight_w8"]}, InvalidConfig, "asked for twice"),
        ({"recipe": "static_w8a8", "data": None, "dev": ["a"]}, InvalidConfig, "calibration data"),
        ({"data": None}, InvalidConfig, "give data"),
        ({"samples": 3}, InvalidConfig, "samples must be 8 or more"),
        ({"data": ["word1"]}, InvalidInput, "has 1 inputs, and calibration needs 8"),
        ({"recipe": "weight_w8:keep_float=nothing.*"}, InvalidConfig, "fits none of the graph's 1"),
        ({"recipe": "weight_w8:keep_float=*"}, InvalidConfig, "leaves the whole graph in float"),
        ({"metric": "spearman"}, InvalidInput, "has no label"),
        ({"backend": "onnx"}, InvalidConfig, "no fp32 graph of 'onnx'"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    layered_bundle: Make,
    some_texts: Texts,
    settings: dict[str, Any],
    error: type[Exception],
    match: str,
) -> None:
    path = layered_bundle({"layer.0": HARMLESS})
    before = contents(path)
    with pytest.raises(error, match=match) as caught:
        edge_tx.quantize(path, **{"data": some_texts(20), **AWAY, **settings})
    assert "\n" not in str(caught.value)
    assert contents(path) == before


def test_quantised_vectors_are_a_space_of_their_own(
    layered_bundle: Make, some_texts: Texts
) -> None:
    path = layered_bundle({"layer.0": (1.0, 0.7, 0.3, 0.9)})
    bundle = edge_tx.quantize(
        path, data=some_texts(40), recipe=["weight_w8", "static_w8a8:reduce_range=true"], **AWAY
    ).bundle
    fp32, one, other = (graph_stamp(bundle.manifest, graph) for graph in bundle.graphs)
    assert fp32 == bundle.manifest.stamp
    assert not same_space(fp32, one)
    assert not same_space(one, other)
    assert one.startswith(f"{fp32}:weight_w8:")
