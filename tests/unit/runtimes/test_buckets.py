from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.errors import FeedMismatch
from edge_tx.runtimes.buckets import Bucket, Step, filled, gathered, plan, symbolic
from edge_tx.tensors import DType, TensorSpec

ONE_8 = Bucket("b1_s8", 1, 8)
ONE_32 = Bucket("b1_s32", 1, 32)
FOUR_8 = Bucket("b4_s8", 4, 8)
FOUR_32 = Bucket("b4_s32", 4, 32)


@pytest.mark.parametrize(
    ("buckets", "rows", "length", "chosen"),
    [
        ((ONE_8, ONE_32), 1, 8, [ONE_8]),
        ((ONE_8, ONE_32), 1, 9, [ONE_32]),
        ((ONE_32, ONE_8), 2, 3, [ONE_8, ONE_8]),
        ((ONE_8, FOUR_8), 4, 8, [FOUR_8]),
        ((ONE_8, FOUR_8), 5, 8, [FOUR_8, ONE_8]),
        ((ONE_8, FOUR_8), 3, 8, [ONE_8, ONE_8, ONE_8]),
        ((ONE_8, FOUR_32), 3, 9, [FOUR_32]),
        ((FOUR_8, ONE_32), 1, 5, [FOUR_8]),
        ((FOUR_8, FOUR_32), 9, 2, [FOUR_8, FOUR_8, FOUR_8]),
    ],
)
def test_least_padding_is_chosen(
    buckets: tuple[Bucket, ...], rows: int, length: int, chosen: list[Bucket]
) -> None:
    assert [step.bucket for step in plan(buckets, rows, length)] == chosen


def test_longer_than_the_largest_names_it() -> None:
    with pytest.raises(FeedMismatch, match=r"33 tokens.*largest bucket has 32"):
        plan((ONE_32, ONE_8), 1, 33)


buckets_strategy = st.lists(
    st.builds(Bucket, st.just("b"), st.integers(1, 9), st.integers(1, 64)), min_size=1, max_size=6
).map(tuple)


@given(buckets=buckets_strategy, rows=st.integers(1, 40), data=st.data())
def test_any_rows_come_back_as_they_were(
    buckets: tuple[Bucket, ...], rows: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, max(b.length for b in buckets)))
    ids = np.arange(1, rows * length + 1, dtype=np.int32).reshape(rows, length)
    parts = []
    for step in plan(buckets, rows, length):
        fed = filled({"ids": ids}, step)["ids"]
        assert fed.shape == (step.bucket.batch, step.bucket.length)
        parts.append((step, {"same": fed, "sum": fed.sum(axis=1, keepdims=True)}))
    specs = [
        TensorSpec("same", DType.INT32, ("batch", "seq")),
        TensorSpec("sum", DType.INT64, ("batch", 1)),
    ]
    results = gathered(specs, parts, length)
    np.testing.assert_array_equal(results["same"], ids)
    np.testing.assert_array_equal(results["sum"], ids.sum(axis=1, keepdims=True))


def test_feeds_that_fit_are_not_copied() -> None:
    ids = np.ones((4, 8), np.int32)
    assert filled({"ids": ids}, Step(FOUR_8, 0, 4))["ids"] is ids


def test_padding_is_zero() -> None:
    ids = np.ones((5, 6), np.int64)
    fed = filled({"ids": ids}, Step(FOUR_8, 4, 5))["ids"]
    assert fed.dtype == np.int64
    assert fed.sum() == fed[0, :6].sum() == 6


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(ONE_8, (1, 8)), (FOUR_32, (4, 32))], ("batch", "seq")),
        ([(ONE_8, (1, 8, 5)), (FOUR_32, (4, 32, 5))], ("batch", "seq", 5)),
        ([(ONE_8, (1, 32)), (FOUR_32, (4, 32))], ("batch", 32)),
        ([(FOUR_8, (4, 8, 8))], ("batch", "seq", 8)),
        ([(FOUR_8, (4,))], ("batch",)),
    ],
)
def test_dimensions_are_named(
    shapes: list[tuple[Bucket, tuple[int, ...]]], expected: tuple[int | str, ...]
) -> None:
    assert symbolic(shapes) == expected


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ([(ONE_8, (2, 8))], "not the batch"),
        ([(ONE_8, ())], "number of dimensions"),
        ([(ONE_8, (1, 8)), (FOUR_32, (4, 32, 1))], "number of dimensions"),
        ([(ONE_8, (1, 9)), (FOUR_32, (4, 10))], "neither batch nor length"),
    ],
)
def test_other_shapes_are_refused(
    shapes: list[tuple[Bucket, tuple[int, ...]]], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        symbolic(shapes)
