"""How the range of an activation is chosen from its values on real texts.

Everything is streamed. A first pass over the texts keeps the extremes of each channel, a second
one counts values between the extremes in a histogram; the memory is the same for ten texts as
for a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.tensors import Array

__all__ = ["BINS", "Channels", "Histogram", "Range", "choose"]

#: Of a histogram. A range cut to a tenth of its extremes still has more bins than int8 has values.
BINS = 8192

Range = tuple[float, float]

_TRIES = np.geomspace(1.0, 0.02, 65)


@dataclass(slots=True)
class Channels:
    """The least and the greatest value in each channel, ``float32[channels]``."""

    low: Array
    high: Array

    @classmethod
    def of(cls, rows: Array) -> Channels:
        """Those of ``float32[tokens, channels]``."""
        return cls(rows.min(axis=0), rows.max(axis=0))

    def take(self, rows: Array) -> None:
        """Widens them by more rows."""
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))

    def times(self, factors: Array) -> Channels:
        """Those of the same values, each channel multiplied by a positive factor."""
        return Channels(self.low * factors, self.high * factors)

    @property
    def largest(self) -> Array:
        """The greatest absolute value in each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def extremes(self) -> Range:
        """The least and the greatest value of all."""
        return float(self.low.min()), float(self.high.max())


class Histogram:
    """Counts of values in equal bins between two extremes.

    Args:
        extremes: The least and the greatest value there will be.
    """

    def __init__(self, extremes: Range) -> None:
        low, high = extremes
        self.extremes = (low, high if high > low else low + 1.0)
        self.counts: Array = np.zeros(BINS, np.int64)

    def take(self, values: Array) -> None:
        """Counts more values."""
        low, high = self.extremes
        scaled = (values.ravel() - low) * (BINS / (high - low))
        places = np.clip(scaled.astype(np.int64), 0, BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)

    @property
    def width(self) -> float:
        """Of a bin."""
        return (self.extremes[1] - self.extremes[0]) / BINS

    @property
    def centres(self) -> Array:
        """Of the bins."""
        return self.extremes[0] + (np.arange(BINS) + 0.5) * self.width


def choose(seen: Histogram, recipe: Recipe) -> Range:
    """The range to quantise values in, by the recipe's observer; it holds 0.

    Args:
        seen: The values.
        recipe: Observer, percentile, bits and symmetry.
    """
    low, high = _CHOOSERS[recipe.observer](seen, recipe)
    low, high = min(low, 0.0), max(high, 0.0)
    if recipe.symmetric:
        largest = max(-low, high)
        return -largest, largest
    return low, high


def _minmax(seen: Histogram, recipe: Recipe) -> Range:
    return seen.extremes


def _percentile(seen: Histogram, recipe: Recipe) -> Range:
    """Cuts both ends where the wanted share of the absolute values lies inside."""
    distance = np.abs(seen.centres)
    order = np.argsort(distance)
    share = np.cumsum(seen.counts[order]) / max(int(seen.counts.sum()), 1)
    inside = int(np.searchsorted(share, recipe.percentile / 100))
    limit = float(distance[order[min(inside, BINS - 1)]] + seen.width / 2)
    return max(seen.extremes[0], -limit), min(seen.extremes[1], limit)


def _mse(seen: Histogram, recipe: Recipe) -> Range:
    """Where rounding and clipping together err least, in the mean of squares."""
    values, counts = seen.centres, seen.counts
    levels = 2**recipe.activation_bits - 1

    def error(tried: Range) -> float:
        return float(counts @ (_rounded(values, tried, levels) - values) ** 2)

    return _least(seen.extremes, recipe, error)


def _entropy(seen: Histogram, recipe: Recipe) -> Range:
    """Where the rounded values' distribution tells least apart from the true one.

    The Kullback-Leibler divergence as TensorRT's calibrator takes it (Migacz, "8-bit inference
    with TensorRT", GTC 2017): what is cut off counts at the ends, and each level's values are
    spread over those of its bins that hold any.
    """
    levels = 2**recipe.activation_bits - 1

    def divergence(tried: Range) -> float:
        return _divergence(seen, tried, levels)

    return _least(seen.extremes, recipe, divergence)


_CHOOSERS: Mapping[Observer, Callable[[Histogram, Recipe], Range]] = {
    Observer.MINMAX: _minmax,
    Observer.PERCENTILE: _percentile,
    Observer.MSE: _mse,
    Observer.ENTROPY: _entropy,
}


def _least(extremes: Range, recipe: Recipe, cost: Callable[[Range], float]) -> Range:
    """Shrinks the range's ends, the upper first, to where it costs least."""
    low, high = min(extremes[0], 0.0), max(extremes[1], 0.0)
    if recipe.symmetric:
        largest = max(-low, high)
        return min(((-largest * f, largest * f) for f in _TRIES), key=cost)
    high = min((high * f for f in _TRIES), key=lambda end: cost((low, end)))
    low = min((low * f for f in _TRIES), key=lambda end: cost((end, high)))
    return low, high


def _rounded(values: Array, tried: Range, levels: int) -> Array:
    low, high = tried
    step = (high - low) / levels or 1.0
    rounded: Array = np.clip(np.round((values - low) / step), 0, levels) * step + low
    return rounded


def _divergence(seen: Histogram, tried: Range, levels: int) -> float:
    low, high = tried
    step = (high - low) / levels or 1.0
    inside = (seen.centres >= low) & (seen.centres <= high)
    if not inside.any():
        return float("inf")
    first, last = np.flatnonzero(inside)[[0, -1]]
    inner = seen.counts[first : last + 1].astype(np.float64)
    level = np.round((seen.centres[first : last + 1] - low) / step).astype(np.int64)
    held = inner > 0
    bins = np.bincount(level, weights=held, minlength=levels + 1)
    sums = np.bincount(level, weights=inner, minlength=levels + 1)
    spread = np.where(held, sums[level] / np.maximum(bins[level], 1), 0.0)
    true = inner.copy()
    true[0] += seen.counts[:first].sum()
    true[-1] += seen.counts[last + 1 :].sum()
    return _kullback_leibler(true, spread)


def _kullback_leibler(true: Array, other: Array) -> float:
    tiny = 1e-9
    p = true / max(true.sum(), tiny)
    q = other / max(other.sum(), tiny)
    some = p > 0
    return float((p[some] * np.log(p[some] / np.maximum(q[some], tiny))).sum())
