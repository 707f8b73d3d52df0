"""The examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_tx.backends import known

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_quickstart(fake_bundle: Callable[..., Path]) -> None:
    bundle = fake_bundle("sentence-embedding")
    command = [sys.executable, str(EXAMPLES / "quickstart.py"), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert "on cpu" in done.stdout


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = [p.name for p in EXAMPLES.iterdir() if p.name not in ("README.md", "__pycache__")]
    assert [name for name in names if f"`{name}`" not in listed] == []


@pytest.fixture
def demo_output(minilm_path: Path, tmp_path: Path) -> str:
    """What ``make demo`` says, quickly; CI has run it already, and names the file."""
    said = os.environ.get("EDGE_TX_DEMO_OUTPUT")
    if said:
        return Path(said).read_text(encoding="utf-8")
    assert minilm_path.is_dir()
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--quick", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.export
def test_demo_ends_with_a_table(demo_output: str) -> None:
    table = demo_output[demo_output.rindex("$ edge-tx bench") :]
    heads = " ".join(table.split())
    for measure in ("MB", "max load first p50 p99 per peak", "error ms ms ms ms second MB"):
        assert measure in heads
    for row in known().values():
        if row.exporter and row.module and row.name not in ("tflite", "tensorrt_rtx"):
            assert re.search(rf"^{row.name}-fp32 +\d+\.\d ", table, re.MULTILINE)
    packaged = (
        r"tensorrt-fp32 packaged; preflight .+; engine is built on the device; not run here: "
    )
    assert re.search(packaged, heads)
