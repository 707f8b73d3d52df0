"""Windows are cut by rows and by characters, and give back what was put in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_tx.runtimes.conveyor import Room, windows


@given(st.lists(st.text(max_size=30)), st.integers(1, 6), st.integers(1, 60))
def test_windows_hold_everything_in_order_and_no_more_than_fits(
    texts: list[str], rows: int, characters: int
) -> None:
    room = Room(rows=rows, characters=characters)
    cut = list(windows(texts, len, lambda: room))
    assert [text for window in cut for text in window] == texts
    for window in cut:
        assert 0 < len(window) <= rows
        assert len(window) == 1 or sum(map(len, window)) <= characters


def test_the_room_may_change_between_windows() -> None:
    rooms = iter([Room(rows=1), Room(rows=3), Room(rows=2), Room()])
    cut = list(windows("abcdefg", len, lambda: next(rooms)))
    assert cut == [["a"], ["b", "c", "d"], ["e", "f"], ["g"]]
