"""Measuring a bundle's graphs, and what is remembered of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx.bench import tuning
from edge_tx.errors import AccuracyGateFailed, InvalidConfig, UnknownName

TWO = {"fake-fp32": {}, "fake-int8": {"recipe": "dynamic_w8", "cosine": 0.98}}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))


def tune(path: Path, **arguments: Any) -> tuning.Tuned:
    return edge_tx.tune(path, seconds=0.001, **arguments)


def test_every_graph_is_measured_and_the_best_is_taken_from_then_on(
    fake_graphs: Callable[..., Path],
) -> None:
    path = fake_graphs(TWO)
    said: list[tuple[Any, ...]] = []
    tuned = tune(path, threads=1, progress=lambda *step: said.append(step))
    for measured in tuned.tuning.graphs:
        assert measured.problem == ""
        assert min(measured.short_ns or 0, measured.long_ns or 0, measured.load_ns or 0) > 0
        assert (measured.per_second or 0) > 0
    assert [name for name, *_ in said] == ["fake-fp32", "fake-int8"] * 2 + [""]
    with edge_tx.load(path) as model:
        assert model.describe().graph == tuned.graph
        assert model.describe().reason == tuned.reason
    assert json.loads(json.dumps(tuned.to_dict()))["tuning"]["threads"] == 1


def test_graph_that_fails_is_an_entry_that_says_so(fake_graphs: Callable[..., Path]) -> None:
    tuned = tune(fake_graphs(TWO, broken=("fake-fp32",)))
    failed, good = tuned.tuning.graphs
    assert "not a fake graph" in failed.problem
    assert (good.problem, tuned.graph) == ("", "fake-int8")


def test_nothing_is_remembered_where_every_graph_fails(fake_graphs: Callable[..., Path]) -> None:
    path = fake_graphs(TWO, broken=tuple(TWO))
    tuned = tune(path)
    assert (tuned.graph, tuned.path) == ("", None)


def test_limit_is_remembered(fake_graphs: Callable[..., Path]) -> None:
    path = fake_graphs(TWO)
    assert tune(path, min_accuracy=0.99).graph == "fake-fp32"
    with edge_tx.load(path) as model:
        [refused] = [c for c in model.describe().candidates if c.graph == "fake-int8"]
    assert "below 0.99" in refused.verdict


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"goal": "speed"}, UnknownName),
        ({"device": "abacus"}, UnknownName),
        ({"threads": 0}, InvalidConfig),
        ({"min_accuracy": -1}, InvalidConfig),
    ],
)
def test_what_makes_no_sense_is_refused_before_measuring(
    fake_graphs: Callable[..., Path], arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        tune(fake_graphs(TWO), **arguments, progress=lambda *_: pytest.fail("measured"))


def test_limit_that_no_graph_reaches_is_said_before_measuring(
    fake_graphs: Callable[..., Path],
) -> None:
    path = fake_graphs({"fake-int8": {"recipe": "dynamic_w8", "cosine": 0.9}})
    with pytest.raises(AccuracyGateFailed, match=r"0\.9000 is below 0\.95"):
        tune(path, min_accuracy=0.95)


@pytest.mark.parametrize(
    "inputs",
    [
        ("a", "bb bb", "ccc ccc"),
        (("q", "one"), ("q", "two words")),
        ({"question": "q", "context": "some text"},),
        ("",),
    ],
)
def test_long_input_has_the_form_of_the_others(inputs: tuple[Any, ...]) -> None:
    ordered = sorted(inputs, key=tuning._characters)
    long = tuning._long(ordered)
    assert type(long) is type(ordered[-1])
    assert len(long) == len(ordered[-1]) or isinstance(long, str)
    assert tuning._characters(long) >= 600
