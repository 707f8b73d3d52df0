from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.errors import InvalidConfig
from edge_tx.exporters.tflite_buckets import LONGEST, checked, default, from_lengths


@pytest.mark.parametrize(
    ("max_length", "lengths"),
    [(1, [1]), (32, [32]), (33, [32, 33]), (128, [32, 64, 128]), (256, [32, 64, 128, 256])],
)
def test_default_lengths(max_length: int, lengths: list[int]) -> None:
    assert default(max_length) == tuple((1, n) for n in lengths)


@given(st.integers(1, LONGEST))
def test_default_is_ordered_and_reaches_the_longest(max_length: int) -> None:
    lengths = [length for _, length in default(max_length)]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == max_length
    assert len(lengths) <= 4


def test_default_refuses_a_length_no_device_holds() -> None:
    with pytest.raises(InvalidConfig, match=f"8192.*up to {LONGEST}"):
        default(8192)


def padded(lengths: list[int], buckets: tuple[int, ...]) -> int:
    return sum(min(b for b in buckets if b >= n) for n in lengths)


@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=20),
    count=st.integers(1, 4),
    max_length=st.integers(1, 64),
)
def test_no_other_buckets_pad_less(lengths: list[int], count: int, max_length: int) -> None:
    chosen = [length for _, length in from_lengths(lengths, count, max_length)]
    assert len(chosen) <= count
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == max_length
    cut = [min(n, max_length) for n in lengths]
    eights = range(8, max_length, 8)
    best = min(
        padded(cut, (*some, max_length))
        for size in range(min(count - 1, len(eights)) + 1)
        for some in combinations(eights, size)
    )
    assert padded(cut, tuple(chosen)) == best


@pytest.mark.parametrize(
    ("lengths", "count", "max_length"), [([], 2, 8), ([0], 2, 8), ([1], 0, 8), ([1], 1, 0)]
)
def test_senseless_lengths_are_refused(lengths: list[int], count: int, max_length: int) -> None:
    with pytest.raises(InvalidConfig, match="buckets are chosen"):
        from_lengths(lengths, count, max_length)


def test_given_buckets_are_ordered() -> None:
    assert checked([(4, 32), (1, 32), (1, 8)]) == ((1, 8), (1, 32), (4, 32))


@pytest.mark.parametrize("wrong", [[(1, 0)], [(0, 8)], [(1,)], [(1, 8.5)], [(1, 8), (1, 8)]])
def test_senseless_buckets_are_refused(wrong: list[tuple[int, int]]) -> None:
    with pytest.raises(InvalidConfig, match="bucket"):
        checked(wrong)
