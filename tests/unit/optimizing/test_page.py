"""The front as a page: what was tried, drawn and in a table, and what pruning left."""

from __future__ import annotations

import json
from pathlib import Path

from edge_tx.optimizing.aims import AIMS
from edge_tx.optimizing.front import Front, Point
from edge_tx.optimizing.outcome import Optimized
from edge_tx.optimizing.page import page
from edge_tx.views import pruning
from edge_tx.views.pruning import PrunedLayer, Pruning

WHOLE = Point(1.0, "onnx", "", 0.9, 0.0, {"latency": 2e7, "size": 9e7})
SMALL = Point(0.6, "onnx", "", 0.895, 0.005, {"latency": 1e7, "size": 7e7})
WRONG = Point(1.0, "openvino", problem="<script>alert(1)</script>")
LEFT = Pruning({"0": PrunedLayer((0, 2), 3, 16, 32)}, (1,))


def outcome(tmp_path: Path) -> Optimized:
    front = Front.of([WHOLE, SMALL, WRONG], 0.01, "latency")
    return Optimized(
        tmp_path / "best.bundle", SMALL, WHOLE, front, AIMS["latency"], "accuracy", 0.01, 60.0,
        tmp_path / "best.bundle.front.json", {"60%": LEFT},
    )  # fmt: skip


def test_it_holds_the_best_all_that_was_tried_and_the_map(tmp_path: Path) -> None:
    text = page(outcome(tmp_path))
    assert "2.00 times as fast as whole onnx-fp32" in text
    assert text.count("<tr") >= 6  # a head and three points, a head and two layers
    assert "16 of 32" in text
    assert "removed" in text
    assert "<script>alert" not in text


def test_the_record_is_read_by_whoever_draws_maps(tmp_path: Path) -> None:
    held = outcome(tmp_path).to_dict()["pruned"]
    record = tmp_path / "60.json"
    record.write_text(json.dumps(held["60%"]))
    assert pruning.read(str(record)) == LEFT
