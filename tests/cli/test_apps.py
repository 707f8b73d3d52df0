"""``edge-tx init-app`` and ``edge-tx pack --text-in``: what is asked for wrongly is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def bundle(fake_bundle: Callable[..., Path]) -> Path:
    return fake_bundle("text-classification")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("init-app", "nod", "{bundle}", "-o", "{out}"), 2, "did you mean 'node'?"),
        (("init-app", "node", "{bundle}", "-o", "{out}"), 2, "unknown backend in this bundle"),
        (("init-app", "node", "{out}", "-o", "{out}"), 8, "no bundle at"),
        (("init-app", "node", "{bundle}", "-o", "{bundle}", "--graph", "fake-fp32"), 2, "runs"),
        (("pack", "{bundle}", "{out}", "--text-in", "coreml"), 2, "unknown string-in graph"),
        (("pack", "{bundle}", "{out}", "--text-in", "onnx"), 2, "unknown backend in this bundle"),
        (("pack", "{bundle}", "{out}", "--length", "32"), 2, "go with --text-in"),
        (
            ("pack", "{bundle}", "{out}", "--text-in", "onnx", "--graph", "fake-fp32"),
            2,
            "onnx takes a graph of onnx, and fake-fp32 is of fake",
        ),
    ],
)
def test_mistakes_are_one_line(
    bundle: Path, tmp_path: Path, edge_tx: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    out = tmp_path / "out"
    done = edge_tx(*(word.format(bundle=bundle, out=out) for word in words), "-q")
    assert done.code == code, done.err
    [line] = done.err.splitlines()
    assert line.startswith("edge-tx: error: ")
    assert said in line
    assert not out.exists()


def test_tasks_with_pairs_have_no_string_in_graph(
    fake_bundle: Callable[..., Path], edge_tx: Call, tmp_path: Path
) -> None:
    done = edge_tx("pack", fake_bundle("text-ranking"), tmp_path / "o", "--text-in", "onnx", "-q")
    assert done.code == 4
    assert "text-ranking needs more than a string-in graph for onnx gives" in done.err
