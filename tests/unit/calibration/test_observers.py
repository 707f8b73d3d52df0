"""Observers against numpy: extremes, histograms, and what each way of choosing promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge_tx.calibration.observers import BINS, Channels, Histogram, Range, choose
from edge_tx.calibration.recipe import Observer, Recipe, parse
from edge_tx.tensors import Array

STATIC = parse("static_w8a8")
SOME_FLOATS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
ROWS = npst.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.integers(1, 6)), elements=SOME_FLOATS
)


def observed(values: Array) -> Histogram:
    histogram = Histogram((float(values.min()), float(values.max())))
    for part in np.array_split(values, 3):
        if part.size:
            histogram.take(part)
    return histogram


def with_observer(observer: Observer, **options: object) -> Recipe:
    return replace(STATIC, observer=observer, **options)  # type: ignore[arg-type]


def squared_error(values: Array, found: Range) -> float:
    low, high = found
    step = (high - low) / 255 or 1.0
    rounded = np.clip(np.round((values - low) / step), 0, 255) * step + low
    return float(((rounded - values) ** 2).mean())


@given(rows=ROWS, parts=st.integers(1, 4))
def test_extremes_are_those_of_all_rows(rows: Array, parts: int) -> None:
    first, *others = [part for part in np.array_split(rows, parts) if len(part)]
    channels = Channels.of(first)
    for part in others:
        channels.take(part)
    np.testing.assert_array_equal(channels.low, rows.min(axis=0))
    np.testing.assert_array_equal(channels.high, rows.max(axis=0))
    np.testing.assert_array_equal(channels.largest, np.abs(rows).max(axis=0))
    assert channels.extremes == (rows.min(), rows.max())


@given(rows=ROWS)
def test_scaled_extremes_are_those_of_scaled_rows(rows: Array) -> None:
    factors = np.linspace(0.5, 4, rows.shape[1], dtype=np.float32)
    scaled = Channels.of(rows).times(factors)
    np.testing.assert_allclose(scaled.low, (rows * factors).min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaled.high, (rows * factors).max(axis=0), rtol=1e-6)


@given(values=npst.arrays(np.float32, st.integers(2, 300), elements=SOME_FLOATS))
def test_a_histogram_counts_as_numpy_does(values: Array) -> None:
    histogram = observed(values)
    assert histogram.counts.sum() == len(values)
    expected, _ = np.histogram(values.astype(np.float64), BINS, histogram.extremes)
    # A value on an edge, to float32's rounding of places up to 8192, may fall to either side.
    places = (values.astype(np.float64) - histogram.extremes[0]) / histogram.width
    on_edge = np.abs(places - np.round(places)) < 4e-3
    apart = np.cumsum(histogram.counts) - np.cumsum(expected)
    assert np.abs(apart).max() <= on_edge.sum()


@given(
    values=npst.arrays(np.float32, st.integers(1, 200), elements=SOME_FLOATS),
    observer=st.sampled_from(Observer),
    symmetric=st.booleans(),
)
@settings(max_examples=40)
def test_a_range_holds_zero_and_nothing_beyond_the_extremes(
    values: Array, observer: Observer, symmetric: bool
) -> None:
    histogram = observed(values)
    low, high = choose(histogram, with_observer(observer, symmetric=symmetric))
    assert low <= 0 <= high
    largest = max(abs(end) for end in histogram.extremes)
    assert max(-low, high) <= largest * (1 + 1e-6)
    assert not symmetric or low == -high


@given(values=npst.arrays(np.float32, st.integers(1, 200), elements=SOME_FLOATS))
def test_minmax_takes_the_extremes(values: Array) -> None:
    low, high = choose(observed(values), with_observer(Observer.MINMAX))
    assert low == min(values.min(), 0)
    assert high >= max(values.max(), 0)


@given(seed=st.integers(0, 50), percentile=st.sampled_from([90.0, 99.0, 99.9]))
@settings(max_examples=20)
def test_a_percentile_keeps_its_share(seed: int, percentile: float) -> None:
    values = np.random.default_rng(seed).standard_t(3, 20_000).astype(np.float32)
    low, high = choose(observed(values), with_observer(Observer.PERCENTILE, percentile=percentile))
    limit, width = max(-low, high), (values.max() - values.min()) / BINS
    assert (np.abs(values) <= limit).mean() * 100 >= percentile
    assert (np.abs(values) <= limit - 2 * width).mean() * 100 <= percentile


@given(seed=st.integers(0, 50), symmetric=st.booleans())
@settings(max_examples=20)
def test_mse_errs_no_more_than_the_extremes_do(seed: int, symmetric: bool) -> None:
    values = np.random.default_rng(seed).standard_t(3, 5_000).astype(np.float32)
    histogram = observed(values)
    best = choose(histogram, with_observer(Observer.MSE, symmetric=symmetric))
    widest = choose(histogram, with_observer(Observer.MINMAX, symmetric=symmetric))
    assert squared_error(values, best) <= squared_error(values, widest) * 1.01


@pytest.mark.parametrize(
    ("observer", "most"),
    # A square counts more: cutting 200 down to 100 costs as much as a fifth of all the rest.
    [(Observer.MSE, 195), (Observer.ENTROPY, 50), (Observer.PERCENTILE, 10)],
)
def test_an_outlier_is_cut_off(observer: Observer, most: float) -> None:
    values = np.append(np.random.default_rng(0).normal(size=50_000), 200.0).astype(np.float32)
    _, high = choose(observed(values), with_observer(observer))
    assert high < most


def test_entropy_keeps_a_flat_distribution_whole() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    low, high = choose(observed(values), with_observer(Observer.ENTROPY))
    assert low < -0.95
    assert high > 0.95


def test_values_that_are_all_the_same_make_a_range() -> None:
    low, high = choose(observed(np.full(9, 3.0, np.float32)), STATIC)
    assert low == 0
    assert high >= 3
