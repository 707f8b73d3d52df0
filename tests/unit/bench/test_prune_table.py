"""The table of what pruning brings: rows fit together, missed numbers are not overlooked."""

from __future__ import annotations

from typing import Any

import pytest

from edge_tx.bench.prune import missed, table, with_starts
from edge_tx.bench.prune_rows import CASES, ROWS

GOOD: dict[str, Any] = {
    "before": 0.89, "after": 0.888, "speedup": {"onnx-fp32": 1.6, "openvino-fp32": 1.5},
    "seconds": 100.0, "cpu_seconds": 180.0, "peak_mb": 1500.0,
}  # fmt: skip


def test_rows_go_on_with_rows_that_are_made_before_them() -> None:
    names = list(ROWS)
    for place, (name, row) in enumerate(ROWS.items()):
        assert row.case in CASES
        assert not row.start or row.start in names[:place], name
        assert row.make is not None or row.start, name


def test_a_row_that_is_asked_for_brings_the_one_it_goes_on_with() -> None:
    assert with_starts(["sst2-50-distil"]) == ["sst2-50", "sst2-50-distil"]
    assert with_starts(ROWS) == list(ROWS)


def test_a_row_says_what_was_wanted_of_it() -> None:
    [_, _, line] = table({"sst2-60": GOOD}).splitlines()
    assert "89.00 to 88.80 | 0.20 (0.4)" in line
    assert "onnx-fp32 1.60, openvino-fp32 1.50 (1.45)" in line
    assert "100 (180) | 180 | 1500 (3072)" in line
    assert not missed(ROWS["sst2-60"], GOOD)


@pytest.mark.parametrize(
    "worse",
    [
        {"after": 0.88},
        {"speedup": {"onnx-fp32": 1.6, "openvino-fp32": 1.4}},
        {"speedup": {}},
        {"seconds": 181.0},
        {"peak_mb": 3100.0},
    ],
)
def test_a_number_that_is_not_reached_is_missed(worse: dict[str, Any]) -> None:
    assert missed(ROWS["sst2-60"], {**GOOD, **worse})
