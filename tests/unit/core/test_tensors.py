"""Feeds are checked against specs, and converted only where that loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.errors import FeedMismatch
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

IDS = TensorSpec("input_ids", DType.INT64, ("batch", "seq"))
MASK = TensorSpec("attention_mask", DType.INT64, ("batch", "seq"))
FIXED = TensorSpec("position", DType.INT32, (1, 4))


def ids(*shape: int, dtype: type = np.int64) -> Array:
    return np.ones(shape, dtype)


@pytest.mark.parametrize("dtype", DType)
def test_every_type_is_numpys_of_the_same_name(dtype: DType) -> None:
    assert dtype.numpy == np.dtype(dtype.value)


def test_spec_reads_as_people_write_it() -> None:
    assert str(IDS) == "input_ids: int64[batch, seq]"


def test_feeds_come_back_in_the_graphs_order() -> None:
    ready = check_feeds([IDS, MASK], {"attention_mask": ids(2, 3), "input_ids": ids(2, 3)})
    assert list(ready) == ["input_ids", "attention_mask"]


def test_arrays_that_fit_are_not_copied() -> None:
    array = ids(2, 3)
    assert check_feeds([IDS], {"input_ids": array})["input_ids"] is array


@pytest.mark.parametrize("array", [ids(3, 2).T, ids(2, 6)[:, ::2]])
def test_strided_arrays_become_contiguous(array: Array) -> None:
    assert check_feeds([IDS], {"input_ids": array})["input_ids"].flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_integers_are_widened(dtype: type) -> None:
    ready = check_feeds([IDS], {"input_ids": ids(1, 2, dtype=dtype)})["input_ids"]
    assert ready.dtype == np.int64


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_narrowed_only_where_the_value_survives(value: int) -> None:
    spec = TensorSpec("x", DType.INT32, (1,))
    feeds = {"x": np.array([value], np.int64)}
    if -(2**31) <= value < 2**31:
        assert check_feeds([spec], feeds)["x"].tolist() == [value]
    else:
        with pytest.raises(FeedMismatch, match="outside int32"):
            check_feeds([spec], feeds)


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({}, "'input_ids' is missing"),
        ({"input_ids": ids(2, 3), "x": ids(1)}, "no input named 'x'"),
        ({"input_ids": ids(3)}, "not 2 dimensions"),
        ({"input_ids": ids(0, 3)}, "batch is empty"),
        ({"input_ids": ids(2, 3, dtype=np.float32)}, "is float32, not int64"),
        ({"input_ids": ids(2, 3, dtype=np.bool_)}, "is bool, not int64"),
    ],
)
def test_what_does_not_fit_is_said(feeds: dict[str, Array], said: str) -> None:
    with pytest.raises(FeedMismatch, match=said) as failure:
        check_feeds([IDS], feeds)
    assert "the graph takes input_ids: int64[batch, seq]" in str(failure.value)


def test_a_symbol_is_one_number_in_all_inputs() -> None:
    with pytest.raises(FeedMismatch, match="seq must be 3, not 4"):
        check_feeds([IDS, MASK], {"input_ids": ids(2, 3), "attention_mask": ids(2, 4)})


def test_fixed_sizes_must_be_met() -> None:
    with pytest.raises(FeedMismatch, match="4 must be 4, not 5"):
        check_feeds([FIXED], {"position": ids(1, 5, dtype=np.int32)})


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(FeedMismatch) as failure:
        check_feeds([IDS, MASK, FIXED], {"input_ids": ids(3), "position": ids(2, 4), "x": ids(1)})
    for name in ("input_ids", "attention_mask", "position", "x"):
        assert f"'{name}'" in str(failure.value)
