import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.errors import FeedMismatch, SessionFailed
from edge_tx.runtimes.tensorrt_profiles import Profile, Span, choose, parse, read

SINGLE = Profile(Span(1, 1, 1), Span(1, 32, 32))
LONG = Profile(Span(1, 1, 1), Span(1, 128, 512))
MANY = Profile(Span(1, 8, 16), Span(1, 64, 128))
ALL = (SINGLE, LONG, MANY)


@pytest.mark.parametrize(
    ("batch", "seq", "index", "rows"),
    [
        (1, 1, 0, 1),
        (1, 32, 0, 1),
        (1, 33, 1, 1),  # 512 tokens at most are fewer than 16 x 128
        (2, 5, 2, 2),
        (16, 128, 2, 16),
        (17, 128, 2, 16),  # cut
        (3, 129, 1, 1),  # one by one
    ],
)
def test_the_smallest_profile_that_fits_is_chosen(
    batch: int, seq: int, index: int, rows: int
) -> None:
    assert choose(ALL, batch, seq) == (index, rows)


def test_rows_that_fit_nowhere_are_refused() -> None:
    with pytest.raises(FeedMismatch, match=r"513 tokens fit no profile .* 1 to 512"):
        choose(ALL, 1, 513)


@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=1, max_size=5),
    st.integers(1, 100),
    st.integers(1, 64),
)
def test_a_choice_always_holds_what_it_runs(
    sizes: list[tuple[int, int]], batch: int, seq: int
) -> None:
    profiles = [Profile(Span(1, b, b), Span(1, s, s)) for b, s in sizes]
    if seq > max(s for _, s in sizes):
        with pytest.raises(FeedMismatch):
            choose(profiles, batch, seq)
        return
    index, rows = choose(profiles, batch, seq)
    assert 1 <= rows <= batch
    assert profiles[index].seq.holds(seq)
    for start in range(0, batch, rows):
        assert profiles[index].batch.holds(min(rows, batch - start))


def written(**changes: object) -> bytes:
    span = {"min": 1, "opt": 2, "max": 4}
    return json.dumps({"schema": 1, "profiles": [{"batch": span, "seq": span}], **changes}).encode()


def test_a_file_is_read() -> None:
    assert parse(written()) == (Profile(Span(1, 2, 4), Span(1, 2, 4)),)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "not valid JSON"),
        (written(schema=2), "schema: expected 1"),
        (written(profiles=[]), "at least one"),
        (written(more=1), "unknown key"),
        (
            written(profiles=[{"batch": {"min": 1, "opt": 3, "max": 2}, "seq": None}]),
            r"profiles\[0\].batch.min: expected 1 <= min <= opt <= max",
        ),
        (
            written(
                profiles=[
                    {
                        "batch": {"min": 2, "opt": 2, "max": 2},
                        "seq": {"min": 1, "opt": 1, "max": 1},
                    }
                ]
            ),
            r"profiles\[0\].batch.min: expected 1, got 2",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(SessionFailed, match=told):
        parse(data)


@given(st.binary(max_size=200))
def test_nothing_but_our_error_comes_out(data: bytes) -> None:
    with pytest.raises(SessionFailed):
        parse(data)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SessionFailed, match="cannot read"):
        read(tmp_path / "profiles.json")
