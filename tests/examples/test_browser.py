"""The web app in Chromium, at a phone's size and without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples


@pytest.fixture(scope="module")
def chromium() -> None:
    if not os.environ.get("CHROMIUM") and not shutil.which("chromium"):
        pytest.skip("no chromium: install it, or name it by CHROMIUM")


@pytest.mark.parametrize("name", ["embedding", "classifier"])
def test_it_works_offline_and_conforms(
    name: str,
    bundles: dict[str, Path],
    npm_app: Callable[[str, Path], Path],
    conforms: Callable[..., Any],
    chromium: None,
) -> None:
    app = npm_app("browser", bundles[name])
    for command in (["node", "build.mjs"], ["node", "--test", "test/offline.mjs"]):
        done = subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    [built] = json.loads((app / "dist" / "model" / "manifest.json").read_text())["graphs"]
    conforms(bundles[name], "node", app / "test" / "answer.mjs", graph=built["name"])


@pytest.fixture(scope="module")
def other_graphs(tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier's bundle with an int8 graph and one for LiteRT."""
    pytest.importorskip("litert_torch", reason="pip install '.[export-tflite]'")
    import edge_tx

    folder = tmp_path_factory.mktemp("other") / "bundle"
    model = tiny_model("bert", "text-classification")
    texts = ["a fine film", "a waste of an evening", "it rained all day", "so be it"] * 4
    edge_tx.export(model, folder, to=["onnx", "tflite"], task="text-classification").close()
    edge_tx.quantize(folder, data=texts, dev=texts, max_drop=2.0, goal="size", keep=True)
    return folder


@pytest.mark.parametrize("graph", ["onnx-dynamic_w8", "tflite-fp32"])
def test_other_graphs_work_and_conform(
    graph: str,
    other_graphs: Path,
    npm_app: Callable[[str, Path], Path],
    conforms: Callable[..., Any],
    chromium: None,
) -> None:
    app = npm_app("browser", other_graphs)
    build = ["node", "build.mjs", str(other_graphs), "dist", graph]
    for command in (build, ["node", "--test", "test/offline.mjs"]):
        done = subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    conforms(other_graphs, "node", app / "test" / "answer.mjs", graph=graph)


def test_a_graph_that_is_not_there_is_told(
    bundles: dict[str, Path], npm_app: Callable[[str, Path], Path]
) -> None:
    app = npm_app("browser", bundles["classifier"])
    for words, said in (
        (["model", "dist", "nope"], "no graph nope for onnx or tflite"),
        (["nowhere"], "no bundle at nowhere"),
    ):
        done = subprocess.run(
            ["node", "build.mjs", *words], cwd=app, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
