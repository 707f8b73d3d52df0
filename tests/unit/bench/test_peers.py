"""The peers' table: ratios against the best peer, and answers that are held against ours."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "bench" / "peers"


@pytest.fixture(scope="module")
def table() -> Any:
    spec = importlib.util.spec_from_file_location("peers_table", FOLDER / "table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def row(name: str, scale: float, ours: bool = False, **over: Any) -> dict[str, Any]:
    numbers = {
        "p50_ns": 4e6 * scale,
        "per_second": 100 / scale,
        "load_ns": 1e9 * scale,
        "first_ns": 1e7 * scale,
        "peak_bytes": 3e8 * scale,
    }
    rounds = [{key: value * noise for key, value in numbers.items()} for noise in (1.0, 3.0, 0.5)]
    made = {"name": name, "ours": ours, "precision": "fp32", "cosine": 1.0, "rounds": rounds}
    return made | over


def report(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"settings": {"rounds": 3}, "rows": list(rows)}


def cells(text: str, name: str) -> list[str]:
    [line] = (line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_over_one_is_better_than_the_best_peer_in_every_column(table: Any) -> None:
    text = table.render(report(row("slow", 2), row("fast", 1), row("ours", 0.5, ours=True)))
    assert cells(text, "ours")[1:6] == [
        "2.00 (2.00)",
        "200 (2.00)",
        "0.50 (2.00)",
        "5.0 (2.00)",
        "150 (2.00)",
    ]
    assert all(cell.endswith("(0.50)") for cell in cells(text, "slow")[1:6])
    assert text.splitlines()[-1].startswith("Largest over smallest of a row's 3 rounds")
    assert "one text p50 ms 6.00" in text


def test_ours_is_never_what_is_compared_with(table: Any) -> None:
    text = table.render(report(row("peer", 1), row("ours", 0.1, ours=True)))
    assert cells(text, "peer")[1] == "4.00 (1.00)"


def test_a_peer_that_fails_is_a_row_that_says_why(table: Any) -> None:
    broken = row("broken", 1, rounds=[{"error": "exit code 1: no such file"}], cosine=None)
    text = table.render(report(row("peer", 1), broken))
    assert cells(text, "broken")[1] == "failed"
    assert "broken failed: exit code 1: no such file" in text


def test_other_answers_are_said_of_fp32_rows_alone(table: Any) -> None:
    wrong = row("wrong", 1, cosine=0.95)
    text = table.render(report(wrong, row("int8", 1, precision="int8", cosine=0.95)))
    assert "wrong: its answers differ, least cosine 0.9500 < 0.999" in text
    assert "int8: its answers" not in text


def test_the_least_cosine_counts(table: Any, tmp_path: Path) -> None:
    right = np.eye(3, 4, dtype=np.float32)
    off = right.copy()
    off[2] = (0, 0, 1, 1)
    saved = {name: tmp_path / f"{name}.npy" for name in ("ours", "same", "off", "none")}
    for name, vectors in (("ours", right), ("same", 2 * right), ("off", off)):
        np.save(saved[name], vectors)
    found = table.likeness(saved, "ours")
    assert found["same"] == pytest.approx(1)
    assert found["off"] == pytest.approx(0.5**0.5)
    assert found["none"] is None


def test_every_peer_has_its_pins_and_its_script() -> None:
    source = (FOLDER / "run.py").read_text(encoding="utf-8")
    for name in ("torch", "onnx", "openvino", "fastembed", "edge_tx"):
        assert f'"{name}"' in source
        pins = (FOLDER / "requirements" / f"{name}.txt").read_text(encoding="utf-8").split()
        assert pins and all("==" in pin for pin in pins)
