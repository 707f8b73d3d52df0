"""Which weights go, and how well the others make up for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge_tx.calibration.sparsity_math import (  # noqa: E402
    Pattern,
    Share,
    layer_error,
    prune_second_order,
)
from edge_tx.errors import InvalidConfig  # noqa: E402


def layer(rows: int, columns: int, seed: int, inputs: int = 200) -> tuple[Any, Any]:
    """A random weight, and the Gram matrix of random inputs that go together."""
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(columns, columns, generator=draw) / columns**0.5 + torch.eye(columns)
    x = torch.randn(inputs, columns, generator=draw) @ mixed
    return torch.randn(rows, columns, generator=draw), (x.T @ x).double()


SIZES = st.integers(1, 40)


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, st.floats(0.01, 0.99), st.integers(0, 9))
def test_the_share_of_zeros_is_exact(rows: int, columns: int, ratio: float, seed: int) -> None:
    weight, gram = layer(rows, columns, seed)
    zeros = round(ratio * weight.numel())
    assert int((~Share(ratio).keep(weight.abs())).sum()) == zeros
    assert int((prune_second_order(weight, gram, Share(ratio)) == 0).sum()) == zeros


def test_the_share_is_exact_over_several_blocks() -> None:
    weight, gram = layer(7, 300, 0, inputs=500)
    assert int((prune_second_order(weight, gram, Share(0.37)) == 0).sum()) == round(0.37 * 2100)


def test_the_smallest_go_and_the_first_of_equal_ones() -> None:
    mask = Share(0.5).keep(torch.tensor([[3.0, 1.0, 2.0, 2.0, 2.0, 4.0]]))
    assert mask.tolist() == [[True, False, False, False, True, True]]


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 30), st.integers(4, 40), st.floats(0.2, 0.8), st.integers(0, 99))
def test_second_order_errs_no_more_than_size(
    rows: int, columns: int, ratio: float, seed: int
) -> None:
    weight, gram = layer(rows, columns, seed)
    by_size = weight * Share(ratio).keep(weight.abs())
    by_curvature = prune_second_order(weight, gram, Share(ratio))
    one, other = (layer_error((w - weight).double(), gram) for w in (by_curvature, by_size))
    assert one <= other * (1 + 1e-5)


def test_second_order_is_much_nearer_where_inputs_go_together() -> None:
    weight, gram = layer(64, 200, 5, inputs=1000)
    by_size = weight * Share(0.5).keep(weight.abs())
    by_curvature = prune_second_order(weight, gram, Share(0.5))
    one, other = (layer_error((w - weight).double(), gram) for w in (by_curvature, by_size))
    assert one < 0.75 * other


@pytest.mark.parametrize("text", ["2:4", "1:4", "4:8", "1:2"])
def test_a_pattern_holds_in_every_group(text: str) -> None:
    pattern = Pattern.parse(text)
    weight, gram = layer(6, 160, 1)
    by_size = weight * pattern.keep(weight.abs())
    by_curvature = prune_second_order(weight, gram, pattern)
    for pruned in (by_size, by_curvature):
        groups = (pruned != 0).reshape(6, -1, pattern.m).sum(-1)
        assert groups.unique().tolist() == [pattern.n]
    one, other = (layer_error((w - weight).double(), gram) for w in (by_curvature, by_size))
    assert one < other


def test_inputs_that_are_always_zero_cost_nothing() -> None:
    weight, gram = layer(3, 8, 2)
    gram[5], gram[:, 5] = 0, 0
    pruned = prune_second_order(weight, gram, Share(0.25))
    assert torch.isfinite(pruned).all()
    assert layer_error((pruned - weight).double(), gram) >= 0


@pytest.mark.parametrize("text", ["2", "2:", "a:b", "4:4", "0:4", "2:3", "-1:4", "2:64"])
def test_bad_patterns(text: str) -> None:
    with pytest.raises(InvalidConfig, match="pattern"):
        Pattern.parse(text)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_bad_shares(ratio: float) -> None:
    with pytest.raises(InvalidConfig, match="share"):
        Share(ratio)
