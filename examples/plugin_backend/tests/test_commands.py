"""The command line of edge_tx, which knows nothing of this package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def edge_tx(*args: str | Path) -> Any:
    command = [sys.executable, "-m", "edge_tx", *map(str, args), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bundle(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "tiny.bundle"
    task = "text-classification"
    made = edge_tx("export", tiny(task), "-o", folder, "--task", task, "--to", "executorch")
    (graph,) = made["graphs"]
    assert graph["name"] == "executorch-fp32"
    assert graph["parity"]["max_abs_error"] <= 1e-4
    return folder


def test_run(bundle: Path) -> None:
    answer = edge_tx("run", bundle, "some text", "--backend", "executorch")
    (label,) = answer["labels"]
    assert label in ("bad", "good", "plain")


def test_verify(bundle: Path) -> None:
    assert edge_tx("verify", bundle)


def test_bench(bundle: Path) -> None:
    assert edge_tx("bench", bundle, "--seconds", "0.1")


def test_backends_and_doctor_list_it() -> None:
    rows = {row["name"]: row for row in edge_tx("backends")["backends"]}
    assert rows["executorch"]["installed"]
    assert rows["executorch"]["exports"]
    statuses = {status["name"]: status for status in edge_tx("doctor")["backends"]}
    assert statuses["executorch"]["packages"][0].startswith("executorch ")


def test_many_texts_open_a_second_session(bundle: Path, tmp_path: Path) -> None:
    import edge_tx as sdk

    texts = [f"text {'word ' * (i % 7)}{i}" for i in range(600)]
    with sdk.load(bundle, backend="executorch", threads=2) as model:
        assert [r.to_dict() for r in model(texts)][:3] == [model(t).to_dict() for t in texts[:3]]
