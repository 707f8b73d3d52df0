from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import edge_tx
from edge_tx.bundle import Bundle
from edge_tx.errors import EdgeTxError, InvalidConfig, SessionFailed, UnknownName


@pytest.fixture
def broken(tmp_path: Path, write_bundle: Callable[..., Bundle]) -> Path:
    """Two graphs that no runtime can read."""
    write_bundle(tmp_path / "broken", graphs=("onnx-fp32", "onnx-int8"))
    return tmp_path / "broken"


def test_a_graph_that_cannot_run_is_an_error_if_none_can(broken: Path) -> None:
    with pytest.raises(SessionFailed):
        edge_tx.evaluate(broken, [{"text": "good", "label": 1}], "accuracy")


def test_mistakes_are_found_before_a_graph_is_opened(broken: Path) -> None:
    rows = [{"text": "good", "label": 1}]
    for metric, error in (((), InvalidConfig), ("acuracy", UnknownName), ("em", InvalidConfig)):
        with pytest.raises(error):
            edge_tx.evaluate(broken, rows, metric)
    with pytest.raises(UnknownName, match="graph of this bundle"):
        edge_tx.evaluate(broken, rows, "accuracy", graphs=["onnx-fp16"])
    with pytest.raises(EdgeTxError, match="give some rows"):
        edge_tx.evaluate(broken, [], "accuracy")
    with pytest.raises(EdgeTxError, match="'excellent' is none of NEGATIVE, POSITIVE"):
        edge_tx.evaluate(broken, [{"text": "good", "label": "excellent"}], "accuracy")
