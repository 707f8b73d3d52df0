"""The data of an optimisation, and what is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_tx import backends
from edge_tx.errors import EdgeTxError, InvalidConfig, InvalidInput, UnknownName
from edge_tx.manifest import TaskSettings
from edge_tx.optimizing.aims import AIMS, aim_of
from edge_tx.optimizing.material import gather, metric_for
from edge_tx.optimizing.plan import Plan, backends_for, recipes_for

CLASSIFY = "text-classification"
ROWS = [{"text": f"film {number}", "label": number % 2} for number in range(40)]


def test_a_quarter_is_held_out_and_used_for_nothing_else() -> None:
    found = gather(ROWS, None, CLASSIFY, seed=3)
    assert len(found.dev) == 10
    assert sorted([*found.train, *found.dev], key=str) == sorted(ROWS, key=str)
    again, other = gather(ROWS, None, CLASSIFY, seed=3), gather(ROWS, None, CLASSIFY, seed=4)
    assert (found.dev, found.sha256) == (again.dev, again.sha256)
    assert found.sha256 != other.sha256


def test_rows_of_a_file_and_rows_to_measure_on(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(row["text"] for row in ROWS if isinstance(row["text"], str)))
    found = gather(path, iter(ROWS[:5]), CLASSIFY, seed=0)
    assert (len(found.train), len(found.dev)) == (40, 5)
    assert len(found.spread(3)) == 3
    assert found.spread(99)[0] == "film 0"


@pytest.mark.parametrize(
    ("data", "dev", "message"),
    [
        (ROWS[:7], None, "there are 7 rows"),
        (ROWS, [], "no row to measure on"),
        ([*ROWS, {"txt": "x"}], None, "needs the columns"),
    ],
)
def test_rows_that_cannot_be_used(data: Any, dev: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        gather(data, dev, CLASSIFY, seed=0)


def test_the_metric_follows_the_data() -> None:
    texts = [row["text"] for row in ROWS]
    topics = [{"text": row["text"], "label": "cards"} for row in ROWS]
    scores = [{"text": row["text"], "label": place / 40} for place, row in enumerate(ROWS)]

    def found(name: str, rows: Any, task: str = CLASSIFY) -> str:
        return metric_for(name, gather(rows, None, task, 0), TaskSettings(("bad", "good")))

    assert found("", ROWS) == "accuracy"
    assert found("", texts) == "agreement"
    assert found("", scores) == "spearman"
    assert found("", texts, "sentence-embedding") == "cosine"
    assert found("", topics, "sentence-embedding") == "cosine"
    assert found("f1", ROWS) == "f1"
    with pytest.raises(InvalidInput, match="no label"):
        found("accuracy", texts)
    with pytest.raises(InvalidInput, match="'cards' is none of bad, good"):
        found("accuracy", topics)
    with pytest.raises(InvalidConfig, match="need labels"):
        found("", [(text, text) for text in texts], "text-ranking")


def test_each_backend_gets_the_recipes_that_it_can_do() -> None:
    pytest.importorskip("onnx")
    rows = (backends.find("onnx"),)
    assert recipes_for(rows, None, AIMS["latency"])["onnx"] == ("dynamic_w8", "static_w8a8")
    assert recipes_for(rows, (), AIMS["latency"]) == {"onnx": ()}
    with pytest.raises(UnknownName):
        recipes_for(rows, ("int9",), AIMS["size"])
    with pytest.raises(InvalidConfig, match="stands twice"):
        recipes_for(rows, ("dynamic_w8", "dynamic_w8:smooth=0.5"), AIMS["size"])


@pytest.mark.parametrize(
    "changes",
    [
        {"max_drop": -0.1},
        {"levels": (1.0,)},
        {"levels": (0.5, 0.5)},
        {"recover": 0.0},
        {"minutes": float("inf")},
        {"samples": 1},
        {"levels": ()},
    ],
)
def test_numbers_that_make_no_sense(changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"aim": aim_of("size"), "max_drop": 0.01, "recipes": {"onnx": ()},
                                "levels": (0.5,), "metric": "cosine"}  # fmt: skip
    Plan(**settings)
    with pytest.raises(InvalidConfig):
        Plan(**{**settings, **changes})


@pytest.mark.parametrize("names", [("fake",), ("onxx",)])
def test_backends_that_cannot_be_walked(names: tuple[str, ...]) -> None:
    with pytest.raises(EdgeTxError):
        backends_for(names)


def test_there_are_three_targets() -> None:
    with pytest.raises(UnknownName, match="latency, memory, size"):
        aim_of("speed")
