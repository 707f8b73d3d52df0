"""Feeds of any shape on graphs of fixed shapes: which bucket runs which rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge_tx.errors import FeedMismatch
from edge_tx.tensors import Array, TensorSpec

__all__ = ["Bucket", "Step", "filled", "gathered", "plan", "symbolic"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A fixed shape that a graph runs at.

    Attributes:
        name: Of the graph's signature.
        batch: Rows.
        length: Tokens of a row.
    """

    name: str
    batch: int
    length: int


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a graph.

    Attributes:
        bucket: At which shape.
        start: First row of the feeds.
        stop: One past the last row.
    """

    bucket: Bucket
    start: int
    stop: int


@lru_cache(maxsize=4096)
def plan(buckets: tuple[Bucket, ...], rows: int, length: int) -> tuple[Step, ...]:
    """Splits rows over buckets, each time into the one with the least padding per row.

    Args:
        buckets: What there is.
        rows: Rows of the feeds.
        length: Tokens of each.

    Returns:
        Steps that cover each row once, in order.

    Raises:
        FeedMismatch: The rows are longer than every bucket; nothing is cut here.
    """
    fitting = [bucket for bucket in buckets if bucket.length >= length]
    if not fitting:
        longest = max(bucket.length for bucket in buckets)
        raise FeedMismatch(
            f"rows of {length} tokens do not fit this graph: its largest bucket has {longest}; "
            "give a smaller max_length, or export with a larger bucket"
        )
    steps = []
    start = 0
    while start < rows:
        left = rows - start
        # Tokens computed per row of ours; among equals the larger batch, for fewer runs.
        best = min(
            fitting, key=lambda b: (b.batch * b.length / min(b.batch, left), -b.batch, b.length)
        )
        stop = start + min(best.batch, left)
        steps.append(Step(best, start, stop))
        start = stop
    return tuple(steps)


def filled(feeds: Mapping[str, Array], step: Step) -> dict[str, Array]:
    """The feeds of one run, padded with zeros: token 0, which the mask hides.

    Args:
        feeds: ``int[rows, tokens]`` by input name.
        step: Which rows, and at which shape.

    Returns:
        ``int[batch, length]`` by input name; the feeds themselves where they fit as they are.
    """
    shape = (step.bucket.batch, step.bucket.length)
    return {name: _filled(array, step, shape) for name, array in feeds.items()}


def _filled(array: Array, step: Step, shape: tuple[int, int]) -> Array:
    if array.shape == shape:
        return array
    out = np.zeros(shape, array.dtype)
    out[: step.stop - step.start, : array.shape[1]] = array[step.start : step.stop]
    return out


def gathered(
    specs: Sequence[TensorSpec], parts: Sequence[tuple[Step, Mapping[str, Array]]], length: int
) -> dict[str, Array]:
    """Puts the outputs of a plan's runs together again, without the padding.

    Args:
        specs: The outputs, symbolic.
        parts: Each step with its outputs by name.
        length: Tokens of the rows as they were fed.

    Returns:
        Arrays by output name, the rows in their order.
    """
    return {spec.name: _gathered(spec, parts, length) for spec in specs}


def _gathered(
    spec: TensorSpec, parts: Sequence[tuple[Step, Mapping[str, Array]]], length: int
) -> Array:
    cut = [outs[spec.name][: step.stop - step.start] for step, outs in parts]
    if spec.shape[1:2] == ("seq",):  # before joining: steps may run at different lengths
        cut = [rows[:, :length] for rows in cut]
    return cut[0] if len(cut) == 1 else np.concatenate(cut)


def symbolic(
    shapes: Iterable[tuple[Bucket, tuple[int, ...]]],
) -> tuple[int | str, ...]:
    """Names the dimensions that follow the bucket.

    Args:
        shapes: Of one tensor at each bucket.

    Returns:
        Its shape with ``"batch"`` first, ``"seq"`` where it follows the length, and numbers.

    Raises:
        ValueError: The shapes follow nothing that a bucket has.
    """
    pairs = list(shapes)
    ranks = {len(shape) for _, shape in pairs}
    if len(ranks) != 1 or 0 in ranks:
        raise ValueError("its number of dimensions changes, or is 0")
    if any(shape[0] != bucket.batch for bucket, shape in pairs):
        raise ValueError("its first dimension is not the batch")
    rest = [_dimension(pairs, axis) for axis in range(1, ranks.pop())]
    return ("batch", *rest)


def _dimension(pairs: Sequence[tuple[Bucket, tuple[int, ...]]], axis: int) -> int | str:
    # Only the first dimension behind the batch can be the length: a hidden size that happens
    # to equal it stands last. With one length alone, an exporter keeps the two apart.
    sizes = {shape[axis] for _, shape in pairs}
    if axis == 1 and all(shape[axis] == bucket.length for bucket, shape in pairs):
        return "seq"
    if len(sizes) > 1:
        raise ValueError(f"its dimension {axis} follows neither batch nor length")
    return sizes.pop()
