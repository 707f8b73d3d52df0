"""Every quantizer with every recipe, on a tiny real graph: it keeps its promises, or says no.

A backend is tested because its row names a quantizer; nothing here knows any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx import backends
from edge_tx.backends import Backend, Session, SessionConfig
from edge_tx.calibration import quantizer
from edge_tx.calibration.quantizer import Quantized, Work
from edge_tx.calibration.recipe import RECIPES, Recipe, parse
from edge_tx.calibration.target import TARGETS
from edge_tx.errors import InvalidConfig, MissingDependency
from edge_tx.tensors import Array

pytestmark = pytest.mark.export

_LONGEST = 32
_ROWS = [
    row
    for row in backends.known().values()
    if row.quantizer and row.exporter  # the fake has its own tests
]
#: Least mean cosine to fp32 on random weights, which are harder than trained ones.
_LEAST = {"int8": 0.97, "int4": 0.9, "fp16": 0.9999}

Feeds = Callable[[], Iterator[dict[str, Array]]]


@dataclass(frozen=True)
class Graph:
    """An exported graph and the backend it can be measured in here."""

    row: Backend
    runner: str
    entry: Path


@pytest.fixture(scope="module")
def exported(
    tiny_model: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Backend], Path]:
    """Exports to a backend, once: several quantise the same graph."""
    made: dict[str, Path] = {}

    def export(row: Backend) -> Path:
        from edge_tx.exporters import source
        from edge_tx.exporters.traced import ExportOptions

        if row.exporter not in made:
            task = "sentence-embedding"
            traced = source.load(
                tiny_model("bert", task, shallow=True), task=task, max_length=_LONGEST
            )
            buckets = () if row.dynamic_shapes else ((1, 8), (1, _LONGEST))
            options = ExportOptions(buckets=buckets)
            folder = tmp_path_factory.mktemp(row.name)
            made[row.exporter] = backends.resolve(row.exporter)(traced, folder, options).entry
        return made[row.exporter]

    return export


@pytest.fixture(scope="module", params=_ROWS, ids=lambda row: row.name)
def graph(request: pytest.FixtureRequest, exported: Callable[[Backend], Path]) -> Graph:
    """The fp32 graph of every backend that can quantise."""
    row: Backend = request.param
    runner = backends.find(quantizer.runner(row))
    if runner.module is None:
        pytest.skip(runner.install)
    try:
        return Graph(row, runner.name, exported(row))
    except MissingDependency as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest, graph: Graph) -> Recipe:
    """Each recipe that the backend can do; the others it must refuse."""
    wanted = parse(request.param)
    tool = quantizer.find(graph.row)
    try:
        tool.check(wanted)
    except MissingDependency as exc:
        pytest.skip(str(exc))
    except InvalidConfig as exc:
        assert wanted.name in str(exc)
        assert "\n" not in str(exc)
        pytest.skip(f"refused, as it should be: {exc}")
    return wanted


@pytest.fixture(scope="module")
def whole(graph: Graph, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    """All that can be is quantised."""
    before = {path: path.read_bytes() for path in graph.entry.parent.iterdir()}
    done = made(graph, recipe, tmp_path_factory.mktemp("whole") / "out")
    assert {path: path.read_bytes() for path in graph.entry.parent.iterdir()} == before
    return done


def feeds(seed: int = 0) -> Iterator[dict[str, Array]]:
    """Rows of random tokens, without end."""
    rng = np.random.default_rng(seed)
    while True:
        ids = rng.integers(5, 500, (1, int(rng.integers(3, _LONGEST + 1))))
        ones = np.ones_like(ids)
        yield {"input_ids": ids, "attention_mask": ones, "token_type_ids": 0 * ones}


def calibration() -> Iterator[dict[str, Array]]:
    return itertools.islice(feeds(), 16)


def made(
    graph: Graph, recipe: Recipe, folder: Path, keep: frozenset[str] = frozenset()
) -> Quantized:
    folder.mkdir()
    work = Work(graph.entry, folder, recipe, calibration, TARGETS["x86-vnni"], keep)
    return quantizer.find(graph.row).quantize(work)


def opened(graph: Graph, entry: Path) -> Session:
    return backends.open_session(graph.runner, entry, SessionConfig())


def answers(session: Session) -> Array:
    return np.concatenate(
        [next(iter(session.run(feed).values())) for feed in itertools.islice(feeds(1), 8)]
    )


def size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.parent.iterdir())


def test_a_quantised_graph_stands_in_for_the_fp32_one(graph: Graph, whole: Quantized) -> None:
    assert whole.entry.parent.name == "out"
    assert whole.entry.name.endswith(graph.row.suffixes)
    assert whole.precision in graph.row.precisions
    assert whole.tools
    assert size(whole.entry) < size(graph.entry)
    fp32, other = opened(graph, graph.entry), opened(graph, whole.entry)
    try:
        assert (other.inputs, other.outputs) == (fp32.inputs, fp32.outputs)
        wanted, got = answers(fp32), answers(other)
    finally:
        fp32.close()
        other.close()
    assert np.isfinite(got).all()
    assert not np.array_equal(wanted, got)  # something was quantised
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(got, axis=1)
    assert ((wanted * got).sum(axis=1) / lengths).mean() > _LEAST[whole.precision]


def test_units_stay_in_float_where_the_gate_or_the_user_says_so(
    graph: Graph, recipe: Recipe, whole: Quantized, tmp_path: Path
) -> None:
    layers = quantizer.find(graph.row).layers(graph.entry)
    assert len(set(layers)) == len(layers) > 4
    assert set(whole.units) <= set(layers)
    gates, users = whole.units[len(whole.units) // 2], whole.units[-1]
    kept = parse(f"{recipe}:keep_float={users}")
    without = made(graph, kept, tmp_path / "kept", frozenset({gates}))
    assert set(without.units) == set(whole.units) - {gates, users}
    assert size(without.entry) > size(whole.entry)
