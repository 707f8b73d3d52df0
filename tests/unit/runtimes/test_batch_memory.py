"""A ceiling starts small, grows while there is room, and shrinks where there is none."""

from __future__ import annotations

import pytest

from edge_tx.errors import BatchStopped, InvalidConfig
from edge_tx.runtimes.batch_memory import Ceiling, parse_bytes, release, rss_bytes
from edge_tx.runtimes.conveyor import WINDOW

MB = 1_000_000


class Process:
    """A process whose memory is what the test says."""

    def __init__(self, megabytes: float) -> None:
        self.megabytes = megabytes

    def __call__(self) -> int:
        return int(self.megabytes * MB)


def test_without_a_limit_nothing_shrinks() -> None:
    ceiling = Ceiling(None, Process(5000))
    ceiling.look()
    assert ceiling.room() == WINDOW
    assert ceiling.peak == 5000 * MB


def test_it_grows_while_there_is_room_and_shrinks_near_the_limit() -> None:
    process = Process(300)
    ceiling = Ceiling(600 * MB, process)
    sizes = [ceiling.room().rows]
    for _ in range(6):
        ceiling.look()
        sizes.append(ceiling.room().rows)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == WINDOW.rows
    process.megabytes = 590
    ceiling.look()
    smaller = ceiling.room()
    assert smaller.rows < WINDOW.rows
    assert smaller.windows < WINDOW.windows
    assert ceiling.peak == 590 * MB
    process.megabytes = 520  # neither near nor far: it stays
    ceiling.look()
    assert ceiling.room() == smaller


def test_what_cannot_be_held_stops_the_job() -> None:
    process = Process(300)
    ceiling = Ceiling(400 * MB, process)
    process.megabytes = 410
    with pytest.raises(BatchStopped, match="take 410 MB where 400 MB are allowed"):
        ceiling.look()
    with pytest.raises(InvalidConfig, match="the model alone takes 390 MB"):
        Ceiling(400 * MB, Process(390))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, None), (1, 1), ("600M", 600 * MB), ("1.5GB", 1500 * MB), ("2k", 2000),
        ("1MiB", 1 << 20), ("512 mib", 512 << 20),
    ],
)  # fmt: skip
def test_sizes(size: str | int | None, expected: int | None) -> None:
    assert parse_bytes(size) == expected


@pytest.mark.parametrize("size", ["", "much", "0", "-1M", "1T", True, "1M5"])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(InvalidConfig, match="must be a size such as 600M"):
        parse_bytes(size)


def test_memory_is_measured() -> None:
    release()
    assert rss_bytes() > 10 * MB
