"""The verbs distill and sparsify."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.export

Run = Callable[..., Any]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    words = ["the", "my", "old", "red", "cat", "dog", "film", "mat", "sat", "good"]
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{a} {b} {c}\n" for a in words for b in words for c in words[:2]))
    return path


def test_distill(tiny_model: Run, edge_tx: Run, texts: Path, tmp_path: Path) -> None:
    model = tiny_model("bert", "text-classification", num_hidden_layers=3)
    args = ("distill", "--teacher", model, "--data", texts, "--threads", "1", "--loss", "output",
            "--measurements", "2", "--rate", "0.002")  # fmt: skip
    done = edge_tx(*args, "--student", "layers=2", "-o", tmp_path / "a", "--metric", "cosine")
    assert done.code == 0, done.err
    assert "weights" in done.out
    assert "teacher 1.0000" in done.out
    assert re.search(r"distilling: step \d+, loss", done.err)
    assert edge_tx("export", tmp_path / "a", "-o", tmp_path / "a.bundle", "-q").code == 0
    again = edge_tx(*args, "--student", tmp_path / "a", "-o", tmp_path / "b", "--json", "-q",
                    "--metric", "cosine")  # fmt: skip
    record = json.loads(again.out)
    assert record["before"] < record["after"] <= 1
    refused = edge_tx(*args, "--student", "layers=2", "-o", tmp_path / "b")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "is there already" in refused.err


def test_sparsify(tiny_model: Run, edge_tx: Run, texts: Path, tmp_path: Path) -> None:
    model = tiny_model("bert", "text-classification")
    done = edge_tx("sparsify", model, "-o", tmp_path / "a", "--data", texts, "--dev", texts)
    assert done.code == 0, done.err
    assert "50.0% of" in done.out
    assert "(before 1.0000)" in done.out
    assert edge_tx("export", tmp_path / "a", "-o", tmp_path / "a.bundle", "-q").code == 0
    record = json.loads(
        edge_tx("sparsify", model, "-o", tmp_path / "b", "--method", "l1", "--pattern", "1:4",
                "--json").out
    )  # fmt: skip
    assert record["sparsity"] == 0.75
    wrong = edge_tx("sparsify", model, "-o", tmp_path / "c", "--method", "ob")
    assert wrong.code == 2
    assert "did you mean 'obs'" in wrong.err


def test_a_killed_run_goes_on(tiny_model: Run, texts: Path, tmp_path: Path) -> None:
    """Kill -9 in the middle of a real run, then the same command line again."""
    model = tiny_model("bert", "text-classification", num_hidden_layers=3)
    code = (
        "import sys; from edge_tx.calibration.distillation import distill;"
        "from edge_tx.calibration.distillation_plan import Training;"
        "distill(sys.argv[1], 'layers=2', sys.argv[2], data=sys.argv[3], threads=1,"
        "training=Training({'output': 1.0}, epochs=16, measurements=16, save_seconds=0.0),"
        "progress=lambda step, *_: print(step, flush=True))"
    )

    def start(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(model), str(tmp_path / name), str(texts)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    whole = start("whole")
    killed = start("killed")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("distilling: step ") and int(line.split()[2].rstrip(",")) > 10:
            os.kill(killed.pid, signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed.distill" / "state.safetensors").exists()
    assert not (tmp_path / "killed").exists()
    out, _ = start("killed").communicate()
    steps = [line.split()[2] for line in out.splitlines() if line.startswith("distilling")]
    assert whole.communicate() is not None
    one, other = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "killed"))
    assert one == other
    assert "0," not in steps
