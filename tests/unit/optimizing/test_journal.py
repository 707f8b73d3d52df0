"""What was done is remembered, and only where it applies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_tx.errors import InvalidConfig
from edge_tx.optimizing.journal import Journal, Made, Timed, alone
from edge_tx.tuning import Measurement

SETTINGS = {"model": "cats 1", "max_drop": "0.01"}
TIMED = Timed(Measurement("onnx-fp32", "onnx", 5, 7), Measurement("onnx-fp32", "onnx", 6, 8))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    first = Journal(tmp_path / "work", SETTINGS)
    first.add_made("export/1/onnx", Made(0.9, 0.91, 1234), 1.5)
    first.add_made("prune/0.5", Made(problem="cannot", over=True), 0.5)
    first.add_timed({"measure/1/onnx/": TIMED}, 2.0)
    again = Journal(tmp_path / "work", SETTINGS)
    assert dict(again.made) == dict(first.made)
    assert again.timed == {"measure/1/onnx/": TIMED}
    assert again.seconds == 4.0
    assert again.made["export/1/onnx"].drop == pytest.approx(0.01)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS)
    with pytest.raises(InvalidConfig, match=r"max_drop: 0\.01 there, 0\.02 here") as caught:
        Journal(tmp_path, {**SETTINGS, "max_drop": "0.02"})
    assert "model" not in str(caught.value)


def test_what_one_run_alone_names_is_added(tmp_path: Path) -> None:
    Journal(tmp_path, {**SETTINGS, "backend 2": "openvino"}).add_made("prune/0.5", Made(0.9), 1)
    assert "prune/0.5" in Journal(tmp_path, SETTINGS).made
    again = {**SETTINGS, "backend 2": "tflite"}
    Journal(tmp_path, SETTINGS).add_made("prune/0.4", Made(0.8), 1)
    with pytest.raises(InvalidConfig, match="backend 2: openvino there, tflite here"):
        Journal(tmp_path, again)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"settings": 1', b"\xff\xfe"])
def test_a_damaged_one_is_one_line(tmp_path: Path, damage: bytes) -> None:
    Journal(tmp_path, SETTINGS)
    (tmp_path / "journal.json").write_bytes(damage)
    with pytest.raises(InvalidConfig, match=r"cannot be read .* remove"):
        Journal(tmp_path, SETTINGS)


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InvalidConfig, match="holds no journal"):
        Journal(tmp_path, SETTINGS)
    (tmp_path / "thesis.tex").rename(tmp_path / "journal.json.7.tmp")  # of a killed first write
    assert Journal(tmp_path, SETTINGS).seconds == 0


def test_one_run_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from edge_tx.optimizing.journal import alone\n"
        "with alone(pathlib.Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with alone(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another run is at work" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0
