"""The verb prune: what it prints, what it refuses, and that a kill leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.export

Run = Callable[..., Any]


@pytest.fixture
def data(tiny_tokenizers: Any, tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(tiny_tokenizers.corpus()[:30]), encoding="utf-8")
    return path


def test_numbers_and_a_map(tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path) -> None:
    model = tiny_model("bert", "text-classification")
    out = tmp_path / "cut"
    args = ("--data", data, "--target-flops", "0.6", "--measure", "none")
    done = edge_tx("prune", model, "-o", out, *args)
    assert done.code == 0, done.err
    assert "of the layers' operations" in done.out
    assert "■" in done.out
    assert "of 48" in done.out
    assert "pruning.load(folder)" in done.out.replace("\n", " ")
    assert "fitting what is left" in done.err
    record = json.loads((out / "pruning.json").read_text())
    assert record["flops_ratio"] <= 0.6
    again = edge_tx("prune", model, "-o", tmp_path / "two", *args, "--json", "-q")
    assert json.loads(again.out)["layers"] == record["layers"]
    assert again.err == ""


def test_times_of_both_models(tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = tiny_model("bert", "text-classification")
    done = edge_tx(
        "prune", model, "-o", tmp_path / "cut", "--data", data, "--layers", "1", "--json", "-q"
    )
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["removed_layers"] == [1]
    assert record["plain"]
    assert [row["speedup"] > 0 for row in record["latency"]["onnx"]] == [True, True]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ((), 2, "nothing to remove"),
        (("--target-flops", "0.01"), 2, "share that is left"),
        (("--layers", "one"), 2, "is a count (4), numbers"),
        (("--target-flops", "0.5", "--max-drop", "0"), 7, "falls from 1.0000"),
        (("--target-flops", "0.5", "--metric", "spearman"), 11, "no label"),
        (("--target-flops", "0.5", "--measure", "tensorfow"), 2, "unknown backend"),
    ],
)
def test_what_cannot_be_is_one_line(
    tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path, given: tuple[str, ...], code: int,
    message: str,
) -> None:  # fmt: skip
    out = tmp_path / "new" / "cut"
    model = tiny_model("bert", "text-classification")
    done = edge_tx("prune", model, "-o", out, "--data", data, "-q", *given)
    assert done.code == code, done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not out.exists()


def test_a_kill_leaves_nothing_behind(tiny_model: Any, data: Path, tmp_path: Path) -> None:
    """SIGKILL as soon as layers are being fitted: no folder, and the next run makes one."""
    out = tmp_path / "new" / "cut"
    command = [
        sys.executable, "-m", "edge_tx", "prune", str(tiny_model("bert", "text-classification")),
        "-o", str(out), "--data", str(data), "--target-flops", "0.5", "--measure", "none",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        guard = threading.Timer(120, process.kill)
        guard.start()
        for line in process.stderr:
            if "looking at" in line or "fitting" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
        guard.cancel()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
