"""The syntax of a sweep's axes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.bench.sweep import Axes, Point, axis, duration_ns, size_bytes
from edge_tx.errors import InvalidConfig


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,4", (1, 2, 4)),
        ("32..256", (32, 64, 128, 256)),
        ("3..20", (3, 6, 12)),
        ("1..8+3", (1, 4, 7)),
        (" 8 , 1..4,2, ", (8, 1, 2, 4)),
    ],
)
def test_lists_and_ranges(text: str, values: tuple[int, ...]) -> None:
    assert axis("--seq", text) == values


@pytest.mark.parametrize(
    "text", ["", ",", "0", "x", "1-4", "8..2", "0..4", "1..4+0", "-1", "1.5", "9999999999999", "²"]
)
def test_what_is_no_axis_is_one_line_that_names_it(text: str) -> None:
    with pytest.raises(InvalidConfig, match="--seq") as caught:
        axis("--seq", text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="0123456789.,+ x", max_size=30))
def test_any_text_gives_ascending_free_values_or_says_why_not(text: str) -> None:
    try:
        values = axis("--batch", text)
    except InvalidConfig:
        return
    assert values
    assert len(set(values)) == len(values)
    assert all(1 <= value <= 1_000_000 for value in values)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("30s", 30), ("90", 90), ("500ms", 0.5), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_ns("--sustain", text) == int(seconds * 1e9)


@pytest.mark.parametrize("text", ["", "0", "-1s", "10 m", "1d", "25h", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="--sustain"):
        duration_ns("--sustain", text)


@pytest.mark.parametrize(("text", "count"), [("512M", 512_000_000), ("2GB", 2 * 10**9), ("9", 9)])
def test_sizes(text: str, count: int) -> None:
    assert size_bytes("--max-memory", text) == count


@pytest.mark.parametrize("text", ["", "0", "-1M", "1T", "MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="--max-memory"):
        size_bytes("--max-memory", text)


def test_points_are_all_combinations_in_order() -> None:
    assert Axes((1, 2), (1, 8), (0,)).points(9) == [
        Point(1, 1, 0), Point(1, 8, 0), Point(2, 1, 0), Point(2, 8, 0)
    ]  # fmt: skip
    assert Axes().points(4) == [Point(4, 1, 0)]


@pytest.mark.parametrize("wrong", [{"threads": (0,)}, {"batch": (0,)}, {"seq": (-1,)}])
def test_axes_are_checked(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(InvalidConfig):
        Axes(**wrong)
