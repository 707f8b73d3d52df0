"""What the exporter refuses, and that it keeps memory in bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edge_tx_executorch.exporter import check_options, export, most_rows

from edge_tx.errors import ExportFailed, InvalidConfig, UnknownName
from edge_tx.exporters.traced import ExportOptions


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        (ExportOptions(route="torch-exprt"), UnknownName, "did you mean 'torch-export'"),
        (ExportOptions(precision="fp16"), InvalidConfig, "not fp16"),
        (ExportOptions(opset=18), InvalidConfig, "no opset"),
        (ExportOptions(buckets=((1, 8),)), InvalidConfig, "no buckets"),
    ],
)
def test_options_it_has_not_are_refused(
    options: ExportOptions, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        check_options(options)


@pytest.mark.parametrize(
    ("max_length", "rows"), [(32, 8), (256, 8), (512, 4), (2048, 1), (3000, 1)]
)
def test_rows_at_once_fall_with_their_length(max_length: int, rows: int) -> None:
    assert most_rows(max_length) == rows


def test_what_cannot_be_exported_is_one_line(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    import torch

    from edge_tx.exporters import source

    class Fickle(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *feeds: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return feeds if feeds[0].sum() > 3 else ()  # a graph cannot take two ways

    traced = source.load(str(tiny("sentence-embedding")), task="sentence-embedding")
    with pytest.raises(ExportFailed, match="ExecuTorch cannot export BertModel") as failure:
        export(replace(traced, module=Fickle()), tmp_path)
    assert "\n" not in str(failure.value)


def test_rows_too_long_are_refused(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from edge_tx.exporters import source

    traced = source.load(str(tiny("sentence-embedding")), task="sentence-embedding")
    long = replace(traced, policy=replace(traced.policy, max_length=4000))
    with pytest.raises(InvalidConfig, match="up to 3072"):
        export(long, tmp_path)
    assert not list(tmp_path.iterdir())
