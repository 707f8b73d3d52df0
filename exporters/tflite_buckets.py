"""Which fixed shapes a graph is exported for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from edge_tx.errors import InvalidConfig

__all__ = ["MOST", "Bucket", "checked", "default", "from_lengths"]

#: ``(batch, tokens)``
Bucket = tuple[int, int]

#: Attention over a fixed length costs its square in memory, whatever is in it: past this, a
#: graph of twelve heads needs over 400 MB for one layer's scores alone.
LONGEST = 3072

#: Buckets that are chosen at most.
MOST = 4

_SHORTEST = 32
_MULTIPLE = 8


def default(max_length: int) -> tuple[Bucket, ...]:
    """Up to four lengths from 32 tokens to the longest, each the same factor above the last.

    Short texts, which are most, are then padded to at most about twice their length. A bucket
    adds little to the file, but at run time XNNPACK packs a copy of the weights for each. Rows
    run one by one: on CPUs, a batch of fixed shape gains less than its padding costs.

    Args:
        max_length: Most tokens in a row.

    Raises:
        InvalidConfig: The longest would be too long for a fixed shape.
    """
    if max_length > LONGEST:
        raise InvalidConfig(
            f"a TFLite graph of {max_length} tokens, the most this model reads, needs too much "
            f"memory for its fixed shape: give a max_length of up to {LONGEST}"
        )
    if max_length <= _SHORTEST:
        return ((1, max_length),)
    doublings = math.log2(max_length / _SHORTEST)
    steps = min(MOST - 1, math.ceil(doublings))
    lengths = [_SHORTEST * 2 ** (doublings * step / steps) for step in range(steps)]
    return (*((1, _rounded(n)) for n in lengths), (1, max_length))


def from_lengths(lengths: Sequence[int], count: int, max_length: int) -> tuple[Bucket, ...]:
    """Chooses the lengths that pad given texts the least, by dynamic programming.

    Candidates are the lengths seen, rounded up to a multiple of 8; the longest text that may
    come, ``max_length``, always has a bucket, so that nothing the model can read is cut.

    Args:
        lengths: Tokens of each text; those above ``max_length`` count as it.
        count: Most buckets.
        max_length: Most tokens in a row.

    Returns:
        Up to ``count`` buckets of one row, the shortest first.

    Raises:
        InvalidConfig: No lengths, a length below 1, or no buckets.
    """
    if not lengths or min(lengths) < 1 or count < 1 or max_length < 1:
        raise InvalidConfig(
            "buckets are chosen from one or more lengths of 1 token or more, a count of 1 or "
            f"more and a max_length of 1 or more, not {len(lengths)} lengths, count {count} and "
            f"max_length {max_length}"
        )
    rounded = [min(_rounded(n), max_length) for n in lengths]
    tops = sorted({*rounded, max_length})
    texts = [rounded.count(top) for top in tops]

    @cache
    def best(first: int, left: int) -> tuple[int, tuple[int, ...]]:
        """Padded tokens of the candidates from ``first`` on in ``left`` buckets, and these."""
        if first == len(tops):
            return 0, ()
        ends = range(first, len(tops)) if left > 1 else (len(tops) - 1,)
        options = []
        for end in ends:
            cost, rest = best(end + 1, left - 1) if end + 1 < len(tops) else (0, ())
            here = tops[end] * sum(texts[first : end + 1])
            options.append((here + cost, (tops[end], *rest)))
        return min(options, key=lambda option: (option[0], len(option[1])))

    return tuple((1, top) for top in best(0, count)[1])


def checked(buckets: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """Checks what a user gave, and puts it in order.

    Raises:
        InvalidConfig: Not pairs of numbers of 1 or more, or one stands twice.
    """
    for bucket in buckets:
        if len(bucket) != 2 or not all(isinstance(n, int) and n >= 1 for n in bucket):
            raise InvalidConfig(
                f"a bucket is (batch, tokens), two numbers of 1 or more, not {bucket}"
            )
    ordered = sorted((int(batch), int(length)) for batch, length in buckets)
    if len(set(ordered)) < len(ordered):
        raise InvalidConfig(f"a bucket stands twice among {', '.join(map(str, ordered))}")
    return tuple(sorted(ordered, key=lambda bucket: (bucket[1], bucket[0])))


def _rounded(length: float) -> int:
    return math.ceil(length / _MULTIPLE) * _MULTIPLE
