"""A backend from another package: found, exported to, run and listed with no edit of edge_tx.

The package is a module and the metadata an installer writes, in a folder on the import path. Its
graphs are ONNX under another name; ``examples/plugin_backend`` brings a runtime of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_MODULE = """
from edge_tx.backends import Backend
from edge_tx.exporters.onnx import check_options
from edge_tx.exporters.onnx import export as _onnx
from edge_tx.runtimes.onnx import open_session as _open

ROW = Backend(
    name="abacus",
    title="Abacus",
    modules=("abacus",),
    install="pip install abacus",
    suffixes=(".onnx",),
    devices=("cpu",),
    precisions=("fp32",),
    dynamic_shapes=True,
    session="abacus:open_session",
    exporter="abacus:export",
)


def export(traced, folder, options):
    return _onnx(traced, folder, options)


def open_session(entry, config):
    return _open(entry, config)
"""

EdgeTx = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "abacus.py").write_text(_MODULE, encoding="utf-8")
    info = folder / "abacus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edge_tx.backends]\nabacus = abacus:ROW\n")
    (info / "top_level.txt").write_text("abacus\n")
    return folder


@pytest.fixture(scope="module")
def edge_tx(package: Path) -> EdgeTx:
    """``edge_tx(*args, plugged=True)``: the command line, with or without the package."""

    def call(*args: str | Path, plugged: bool = True) -> subprocess.CompletedProcess[str]:
        before = [path for path in (os.environ.get("PYTHONPATH"),) if path]
        path = os.pathsep.join([str(package), *before] if plugged else before)
        command = [sys.executable, "-m", "edge_tx", *map(str, args)]
        return subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bundle(edge_tx: EdgeTx, tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin") / "tiny.bundle"
    model = tiny_model("bert", "text-classification", shallow=True)
    args = ("--task", "text-classification", "--to", "abacus", "--json")
    (graph,) = answer(edge_tx("export", model, "-o", folder, *args))["graphs"]
    assert graph["name"] == "abacus-fp32"
    return folder


def test_it_is_listed_and_looked_over(edge_tx: EdgeTx) -> None:
    rows = {row["name"]: row for row in answer(edge_tx("backends", "--json"))["backends"]}
    assert rows["abacus"]["installed"]
    statuses = {s["name"]: s for s in answer(edge_tx("doctor", "--json"))["backends"]}
    assert statuses["abacus"]["packages"] == ["abacus 1.0"]


@pytest.mark.export
def test_its_graphs_run_verify_and_are_measured(edge_tx: EdgeTx, bundle: Path) -> None:
    assert answer(edge_tx("run", bundle, "some text", "--json"))["labels"]
    assert answer(edge_tx("verify", bundle, "--json"))
    report = answer(edge_tx("bench", bundle, "--seconds", "0.1", "--json"))
    assert "abacus-fp32" in json.dumps(report)


@pytest.mark.export
@pytest.mark.parametrize(
    "verb", [("run", "some text"), ("verify",), ("bench",)], ids=lambda v: v[0]
)
def test_without_the_package_one_line_names_it(
    verb: tuple[str, ...], edge_tx: EdgeTx, bundle: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(bundle, tmp_path / "moved.bundle")
    name, *rest = verb
    done = edge_tx(name, moved, *rest, plugged=False)
    assert done.returncode not in (0, 1)
    assert "abacus" in done.stderr
    assert "Traceback" not in done.stderr
