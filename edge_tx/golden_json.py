"""``golden.json``: real inputs, their token ids and the fp32 reference's outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_tx.errors import BundleCorrupt, ParityFailed
from edge_tx.manifest_json import GOLDEN
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads
from edge_tx.tensors import Array

__all__ = [
    "TOLERANCE",
    "Golden",
    "GoldenArray",
    "GoldenCase",
    "GoldenRow",
    "compare",
    "read",
    "write",
]

TOLERANCE = 1e-4
"""Largest fp32 difference, relative to the largest magnitude of the output."""

MAX_VALUES = 2048


@dataclass(frozen=True, slots=True)
class GoldenArray:
    """Elements of an array: every ``step``-th of it, flattened in C order.

    Attributes:
        shape: Of the whole array, without the batch dimension.
        step: 1 up to 2048 elements, else the smallest that keeps at most 2048.
        values: float32, each written in the fewest digits that give it back exactly.
    """

    shape: tuple[int, ...]
    step: int
    values: tuple[float, ...]

    @classmethod
    def of(cls, array: Array) -> GoldenArray:
        """Takes the elements of a reference's output.

        Raises:
            ParityFailed: It holds NaN or infinity, which nothing can be compared with.
        """
        step = max(1, math.ceil(array.size / MAX_VALUES))
        values = array.astype(np.float32).reshape(-1)[::step]
        if not np.isfinite(values).all():
            raise ParityFailed("the reference's output holds NaN or infinity")
        return cls(array.shape, step, tuple(float(str(value)) for value in values))


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One row that the graph is fed, and what the reference gives for it.

    Attributes:
        ids: Token ids, unpadded.
        type_ids: Token type ids, as many.
        outputs: By name of the graph's output.
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    outputs: Mapping[str, GoldenArray]


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One input and its answer.

    Attributes:
        input: What a user gives: a text, or a list of two.
        options: Call options other than the defaults.
        rows: The rows it becomes.
        result: The reference's result, as its ``to_dict()``.
    """

    input: Any
    options: Mapping[str, Any]
    rows: tuple[GoldenRow, ...]
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """The file.

    Attributes:
        cases: The cases.
        tolerance: Largest difference of an fp32 graph, relative to the largest magnitude of
            the output.
    """

    cases: tuple[GoldenCase, ...]
    tolerance: float = TOLERANCE


def read(data: bytes) -> Golden:
    """Reads ``golden.json``.

    Raises:
        BundleCorrupt: It is not one; names the place.
    """
    return Reader(GOLDEN, BundleCorrupt, _RULES).read(Golden, loads(data, GOLDEN))


def write(golden: Golden) -> bytes:
    """Writes ``golden.json``."""
    return dumps(encode(golden))


def compare(golden: GoldenArray, array: Array) -> tuple[float, float]:
    """Compares an array with what is kept of the reference's.

    Returns:
        The largest absolute difference and the cosine. An array of another shape, or one that
        holds NaN or infinity, is infinitely far off: ``(inf, 0.0)``.
    """
    if array.shape != golden.shape:
        return math.inf, 0.0
    wanted = np.asarray(golden.values, dtype=np.float64)
    got = array.reshape(-1)[:: golden.step].astype(np.float64)
    if not np.isfinite(got).all():
        return math.inf, 0.0
    error = float(np.abs(got - wanted).max(initial=0.0))
    lengths = float(np.linalg.norm(got) * np.linalg.norm(wanted))
    if not lengths:
        return error, float(error == 0.0)
    return error, float(got @ wanted) / lengths


def _array_rule(array: GoldenArray, fail: Fail) -> None:
    size = math.prod(array.shape)
    if min(array.shape, default=1) < 0:
        fail("shape", f"expected sizes, got {list(array.shape)}")
    if array.step < 1:
        fail("step", f"expected 1 or more, got {array.step}")
    if len(array.values) != math.ceil(size / array.step):
        fail("values", f"{len(array.values)} values, not every {array.step}. of {size}")


def _row_rule(row: GoldenRow, fail: Fail) -> None:
    if not row.ids or len(row.ids) != len(row.type_ids):
        fail("ids", f"{len(row.ids)} ids and {len(row.type_ids)} type ids")


def _golden_rule(golden: Golden, fail: Fail) -> None:
    if golden.tolerance <= 0:
        fail("tolerance", f"expected more than 0, got {golden.tolerance}")


_RULES: Mapping[type, Rule] = {
    Golden: _golden_rule,
    GoldenArray: _array_rule,
    GoldenRow: _row_rule,
}
