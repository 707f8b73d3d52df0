"""The verb optimize on a tiny model: killed, gone on with, refused, over its budget."""

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
pytest.importorskip("openvino")
pytestmark = pytest.mark.export

Run = Callable[..., Any]

# OpenVINO's exporter is the fastest one.
LIGHT = ("--to", "openvino", "--recipe", "none", "--seconds", "0.01", "--threads", "1",
         "--metric", "cosine")  # fmt: skip


@pytest.fixture
def data(tiny_tokenizers: Any, tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(tiny_tokenizers.corpus()[:40]), encoding="utf-8")
    return path


def _kill_when(text: str, command: list[str]) -> int:
    """Runs a command until its stderr has a text, and kills it there with SIGKILL."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        guard = threading.Timer(200, process.kill)
        guard.start()
        for line in process.stderr:
            if text in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
        guard.cancel()
    return process.returncode


def test_a_killed_run_goes_on_to_a_bundle(
    tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path
) -> None:
    import edge_tx as package

    model, out = tiny_model("bert", "text-classification"), tmp_path / "best.bundle"
    args = ["optimize", model, "-o", out, "--data", data, "--levels", "0.6", *LIGHT]
    kept = [*map(str, args), "--max-drop", "1"]
    killed = _kill_when("openvino, measure", [sys.executable, "-m", "edge_tx", *kept])
    assert killed == -signal.SIGKILL
    assert not out.exists()
    journal = tmp_path / "best.bundle.optimize" / "journal.json"
    before = json.loads(journal.read_text())
    assert "export/1/openvino" in before["made"]

    other = edge_tx(*args, "--max-drop", "0.5", "-q")
    assert other.code == 2
    assert "max_drop: 1 there, 0.5 here" in other.err
    assert other.err.count("\n") == 1
    assert json.loads(journal.read_text()) == before

    done = edge_tx(*kept)
    assert done.code == 0, done.err
    assert "before  whole model, openvino, export: cosine 1.0000" in done.err
    assert "...  60% model, prune\n" in done.err
    assert "60% model, prune: cosine" in done.err
    assert "★" in done.out
    record = json.loads((tmp_path / "best.bundle.front.json").read_text())
    assert [place["graph"] for place in record["front"]] == ["openvino-fp32"] * 2
    assert record["best"] in ("whole openvino-fp32", "60% openvino-fp32")
    assert not journal.parent.exists()
    assert list(record["pruned"]) == ["60%"]
    assert "What pruning left" in (tmp_path / "best.bundle.front.html").read_text()
    with package.load(out) as best:
        assert best.describe().graph == "openvino-fp32"
    with package.Bundle.open(out) as bundle:
        assert "operations" in bundle.graph().checks["optimize"]


def test_over_the_budget_nothing_is_written(
    tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "best.bundle"
    done = edge_tx(
        "optimize", tiny_model("bert", "text-classification"), "-o", out, "--data", data,
        "--levels", "0.3", "--max-drop", "0", *LIGHT,
    )  # fmt: skip
    assert done.code == 7, done.err
    assert "nothing smaller holds cosine within 0" in done.err
    assert "30% falls by" in done.err
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (("--levels", "0.5,0.8"), 2, "the largest first"),
        (("--levels", "half"), 2, "shares with commas"),
        (("--max-drop", "-1"), 2, "max_drop must be"),
        (("--minutes", "0"), 2, "minutes must be above 0"),
        (("--metric", "accuracy"), 11, "no label"),
        (("--to", "onxx"), 2, "did you mean 'onnx'"),
        (("--recipe", "int8"), 2, "unknown recipe"),
        (("--recipe", "none", "--levels", "none"), 2, "nothing to try"),
        (("--recipe", "weight_w8", "--recipe", "weight_w8"), 2, "stands twice"),
    ],
)
def test_what_cannot_be_is_one_line(
    tiny_model: Any, edge_tx: Run, data: Path, tmp_path: Path, given: tuple[str, ...], code: int,
    message: str,
) -> None:  # fmt: skip
    out = tmp_path / "best.bundle"
    model = tiny_model("bert", "text-classification")
    done = edge_tx("optimize", model, "-o", out, "--data", data, "-q", *given)
    assert done.code == code, done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not out.exists()
