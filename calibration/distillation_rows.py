"""Tokenised rows, and the batches they run in: of neighbouring lengths, so that little is padding.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch

from edge_tx.text import Row, TokenizerPolicy, collate

__all__ = ["epoch_batches", "in_length_order", "tensors_of"]

_POOL = 64
"""Batches whose rows are sorted together: enough that a batch holds one length, few enough that
batches differ from epoch to epoch."""


def in_length_order(lengths: Sequence[int], batch: int, tokens: int) -> Iterator[list[int]]:
    """Indices of rows by length, in batches of a limited size.

    Args:
        lengths: Of all rows.
        batch: Most rows of a batch.
        tokens: Most tokens of a batch, padding included; one row may have more.
    """
    yield from _filled(
        sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, batch, tokens
    )


def epoch_batches(
    lengths: Sequence[int], batch: int, tokens: int, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch, in a random order that only seed and epoch decide.

    Args:
        lengths: Of all rows.
        batch: Most rows of a batch.
        tokens: Most tokens of a batch, padding included.
        seed: Of the run.
        epoch: From 0.
    """
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
    order = list(range(len(lengths)))
    rng.shuffle(order)
    pool = batch * _POOL
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda i: lengths[i])
        batches += _filled(near, lengths, batch, tokens)
    rng.shuffle(batches)
    return batches


def tensors_of(rows: Sequence[Row], policy: TokenizerPolicy) -> tuple[torch.Tensor, ...]:
    """A batch as a module takes it: ``int64[batch, seq]`` by position."""
    feeds = collate(rows, policy)
    return tuple(torch.from_numpy(feeds[name]) for name in policy.inputs)


def _filled(
    order: Sequence[int], lengths: Sequence[int], batch: int, tokens: int
) -> Iterator[list[int]]:
    chosen: list[int] = []
    for index in order:  # each is the longest so far
        if chosen and (len(chosen) == batch or lengths[index] * (len(chosen) + 1) > tokens):
            yield chosen
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen
