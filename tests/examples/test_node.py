"""The Node.js app, built as a user would build it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples

NpmApp = Callable[[str, Path], Path]


@pytest.mark.parametrize("name", ["embedding", "classifier"])
def test_it_conforms(
    name: str, bundles: dict[str, Path], npm_app: NpmApp, conforms: Callable[..., Any]
) -> None:
    app = npm_app("node", bundles[name])
    assert conforms(bundles[name], "node", app / "answer.mjs", app / "model")["cases"] > 5


def ask(app: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = ["node", "answer.mjs", *words]
    return subprocess.run(
        command, cwd=app, input=stdin, capture_output=True, text=True, check=False
    )


def test_bad_bundles_end_it_with_a_line(bundles: dict[str, Path], npm_app: NpmApp) -> None:
    app = npm_app("node", bundles["classifier"])
    graph = next((app / "model" / "graphs").rglob("*.onnx"))
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = ask(app, "model", "a text")
    assert done.returncode == 1
    assert "is damaged: its sha256" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    graph.write_bytes(whole)

    manifest = app / "model" / "manifest.json"
    record = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(record | {"schema": 99}), encoding="utf-8")
    done = ask(app, "model", "a text")
    assert done.returncode == 1
    assert "schema 99" in done.stderr
    manifest.unlink()
    assert "no bundle at model" in ask(app, "model", "a text").stderr


def test_texts_that_are_too_long_are_cut_and_told(
    bundles: dict[str, Path], npm_app: NpmApp
) -> None:
    app = npm_app("node", bundles["embedding"])
    done = ask(app, "model", "word " * 1000)
    assert done.returncode == 0
    assert "were cut off" in done.stderr
    done = ask(app, "model", stdin='{"text": 5}\nnot json\n{"text": "fine"}\n')
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert "error" in first
    assert "error" in second
    assert len(third["outputs"]["sentence_embedding"]) == 384
