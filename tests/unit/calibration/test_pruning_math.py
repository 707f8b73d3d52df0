"""The mathematics of pruning against the plainest way to get the same number."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx.calibration.pruning_search import Option, allocate, even_ffn, flops
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.calibration.pruning_encoder import Key

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("size", "step"), [(1, 1), (1, 3), (4, 1)])
def test_a_removal_costs_what_the_best_fit_without_it_loses(size: int, step: int) -> None:
    from edge_tx.calibration.pruning_masks import damped, removal_path

    generator = torch.Generator().manual_seed(3)
    units, width = 8, 5
    inner = units * size
    features = torch.randn(200, inner, generator=generator)
    features = torch.cat([features @ torch.randn(inner, inner, generator=generator),
                          torch.ones(200, 1)], 1)  # fmt: skip
    moments = damped(features.T @ features)
    weights = torch.randn(width, inner + 1, generator=generator)
    gradients = torch.randn(width, width, generator=generator)
    gradients = gradients @ gradients.T
    path = removal_path(moments, weights, gradients, size, step)
    assert len({unit for group in path.order for unit in group}) == step * len(path.order)
    for groups in range(1, len(path.order) + 1):
        gone = path.removed(groups)
        least = _least_squares_loss(moments, weights.double(), gradients.double(), gone, size)
        assert path.errors[groups - 1] == pytest.approx(least, rel=2e-3)


def _least_squares_loss(
    moments: Any, weights: Any, gradients: Any, gone: list[int], size: int
) -> float:
    kept = [c for c in range(len(moments)) if c // size not in gone or c == len(moments) - 1]
    fitted = torch.linalg.solve(moments[kept][:, kept], moments[kept] @ weights.T).T
    change = weights.clone()
    change[:, kept] -= fitted
    return float(torch.trace(gradients @ change @ moments @ change.T))


def test_the_cheapest_unit_goes_first() -> None:
    from edge_tx.calibration.pruning_masks import damped, removal_path

    weights = torch.tensor([[3.0, 0.1, 2.0, 0.0], [0.0, 0.1, 1.0, 0.0]])
    path = removal_path(damped(torch.eye(4)), weights, torch.eye(2), 1, 1)
    assert path.order == ((1,), (2,))
    assert path.errors[0] == pytest.approx(0.02, rel=0.01)


def test_units_ranked_by_a_score_leave_one_step() -> None:
    from edge_tx.calibration.pruning_masks import ranked_path

    path = ranked_path(torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0]), 2)
    assert path.order == ((1, 3),)
    assert path.errors == (3.0,)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=5))
def test_cotangents_of_a_classifier_have_its_fisher_information(logits: list[float]) -> None:
    from edge_tx.calibration.pruning_targets import _categorical

    row = torch.tensor(logits, dtype=torch.float64)
    every = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(logits))))
    drawn = _categorical(row.expand(len(every), -1), every.double())
    p = row.softmax(0)
    expected = torch.diag(p) - torch.outer(p, p)
    torch.testing.assert_close(drawn.T @ drawn / len(every), expected, atol=1e-9, rtol=1e-6)


def test_padding_has_no_cotangent() -> None:
    from edge_tx.calibration.pruning_targets import cotangents
    from edge_tx.manifest import TaskSettings

    mask = torch.tensor([[True, True, False], [True, False, False]])
    generator = torch.Generator().manual_seed(0)
    ends = (torch.randn(2, 3), torch.randn(2, 3))
    for out in cotangents(ends, mask, "question-answering", TaskSettings(), generator):
        assert (out[~mask] == 0).all()
        assert (out[0, :2] != 0).all()
    [tags] = cotangents(
        (torch.randn(2, 3, 4),), mask, "token-classification", TaskSettings(), generator
    )
    assert (tags[~mask] == 0).all()
    [label] = cotangents(
        (torch.randn(2, 4),), mask, "text-classification", TaskSettings(), generator
    )
    assert (label != 0).all()


# -------------------------------------------------------------------------------- the search

KINDS = ("attention", "ffn")


def options(seed: int, groups: int = 4) -> dict[Key, Option]:
    from edge_tx.calibration.pruning_encoder import Key

    rng = np.random.default_rng(seed)
    found = {}
    for key in (Key(layer, kind) for layer in range(2) for kind in KINDS):
        rising = np.concatenate([[0.0], np.sort(rng.exponential(size=groups)).cumsum()])
        found[key] = Option(rising, np.arange(groups + 1.0, 0, -1) * rng.uniform(1, 3))
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0))
def test_the_choice_fits_and_is_near_the_best_there_is(seed: int, share: float) -> None:
    rows = options(seed)
    budget = share * sum(float(option.costs[0]) for option in rows.values())
    choice = allocate(rows, budget)
    cost = sum(float(rows[key].costs[gone]) for key, gone in choice.items())
    error = sum(float(rows[key].errors[gone]) for key, gone in choice.items())
    assert cost <= budget + 1e-9
    best = min(
        sum(float(option.errors[g]) for option, g in zip(rows.values(), gone, strict=True))
        for gone in itertools.product(range(5), repeat=4)
        if sum(float(o.costs[g]) for o, g in zip(rows.values(), gone, strict=True)) <= budget
    )
    dearest = max(float(np.diff(option.errors).max()) for option in rows.values())
    assert error <= best + dearest  # within one group of one sublayer


def test_nothing_goes_where_nothing_is_saved() -> None:
    from edge_tx.calibration.pruning_encoder import Key

    flat = Option(np.array([0.0, 0.1, 0.2]), np.array([5.0, 5.0, 5.0]))
    steep = Option(np.array([0.0, 9.0, 20.0]), np.array([9.0, 6.0, 3.0]))
    rows = {Key(0, "attention"): flat, Key(0, "ffn"): steep}
    assert allocate(rows, 8.5) == {Key(0, "attention"): 0, Key(0, "ffn"): 2}


def test_an_impossible_budget_says_how_far_it_can_go() -> None:
    with pytest.raises(InvalidConfig, match=r"out of reach.*still cost 20%"):
        allocate(options(1), 0.1)


def test_one_width_for_all() -> None:
    rows = options(2)
    whole = sum(float(option.costs[0]) for option in rows.values())
    choice = even_ffn(rows, 0.8 * whole)
    assert {gone for key, gone in choice.items() if key[1] == "attention"} == {0}
    assert len({gone for key, gone in choice.items() if key[1] == "ffn"}) == 1
    with pytest.raises(InvalidConfig, match="all heads in place"):
        even_ffn(rows, 0.1 * whole)


def test_operations_of_a_bert_layer() -> None:
    heads = flops(768, 64, "attention", 12, 1, 128)
    assert heads == 2 * (4 * 768 * 768 + 2 * 128 * 768)
    assert flops(768, 64, "ffn", 3072, 1, 128) == 2 * 2 * 768 * 3072
