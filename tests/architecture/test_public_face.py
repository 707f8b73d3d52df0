"""What ``import edge_tx`` offers, and nothing else."""

from __future__ import annotations

import importlib

import pytest

import edge_tx


def test_all_is_this() -> None:
    assert edge_tx.__all__ == [
        "Bundle",
        "DeviceInfo",
        "EdgeTxError",
        "Model",
        "Report",
        "Training",
        "TruncationWarning",
        "__version__",
        "batch",
        "distill",
        "evaluate",
        "export",
        "load",
        "optimize",
        "prune",
        "quantize",
        "same_space",
        "sparsify",
        "tune",
    ]


@pytest.mark.parametrize("name", [n for n in edge_tx.__all__ if n != "__version__"])
def test_names_resolve_to_their_homes(name: str) -> None:
    home = importlib.import_module(edge_tx._HOMES[name])
    assert getattr(edge_tx, name) is getattr(home, name)
    assert name in dir(edge_tx)


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        edge_tx.lod  # noqa: B018
