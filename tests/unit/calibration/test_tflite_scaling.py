"""Factors that scale channels, without a graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_tx.calibration.tflite_graph import _module_path
from edge_tx.calibration.tflite_scaling import equalising_factors, smoothing_factors
from edge_tx.tensors import Array

WIDTH = 12
SIZES = arrays(np.float32, WIDTH, elements=st.floats(0, 1e4, width=32))


@given(SIZES, SIZES, st.floats(0, 1))
def test_smoothing_factors_are_usable(read: Array, weights: Array, alpha: float) -> None:
    factors = smoothing_factors(read, weights, alpha)
    assert factors.dtype == np.float32
    assert np.isfinite(factors).all()
    assert (factors > 0).all()
    assert np.isclose(np.log(factors).mean(), 0, atol=1e-4)


@given(SIZES)
def test_equalised_channels_are_at_most_as_wide_as_the_widest(written: Array) -> None:
    factors = equalising_factors(written)
    assert (factors > 0).all()
    assert (factors <= 1).all()
    assert (written / factors <= max(written.max(), 1e-5) * (1 + 1e-5)).all()


def test_more_alpha_moves_more_of_an_outlier() -> None:
    read, weights = np.ones(WIDTH, np.float32), np.ones(WIDTH, np.float32)
    read[3] = 50
    spreads = [np.ptp(read / smoothing_factors(read, weights, alpha)) for alpha in (0, 0.5, 0.9)]
    assert spreads[0] > spreads[1] > spreads[2]


LAYER = "m.ByName/m.TaskModule_module/m.Model_transformer/m.BertModel_bert/m.BertLayer_0"


@pytest.mark.parametrize(
    ("names", "path"),
    [
        ((f"{LAYER}/torch.nn.Linear_query;1", "x"), "bert.0.query"),
        ((f"{LAYER}/n.LayerNorm_norm;;{LAYER}/n.Linear_key;;{LAYER}/n.Linear_q;",), "bert.0.key"),
        (("arith.constant3", f"{LAYER}/n.Embedding_word_embeddings;1"), "bert.0.word_embeddings"),
        (("arith.constant3", "b1_s32_logits_output"), "b1_s32_logits_output"),
    ],
)
def test_modules_are_read_from_tensor_names(names: tuple[str, ...], path: str) -> None:
    assert _module_path(names) == path
