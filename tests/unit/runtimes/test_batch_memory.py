"""A ceiling starts small, grows while there is room, and shrinks where there is none."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from edge_tx.errors import BatchStopped, InvalidConfig
from edge_tx.runtimes.batch_memory import (
    Ceiling,
    Usage,
    forget_peak,
    parse_bytes,
    release,
    rss_bytes,
    usage,
)
from edge_tx.runtimes.conveyor import WINDOW

MB = 1_000_000


class Process:
    """A process whose memory is what the test says."""

    def __init__(self, megabytes: float, peak: float = 0) -> None:
        self.megabytes = megabytes
        self.peak = peak

    def __call__(self) -> Usage:
        self.peak = max(self.peak, self.megabytes)
        return Usage(int(self.megabytes * MB), int(self.peak * MB))


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
    process.megabytes = 320  # what was needed once may be needed again: it stays
    ceiling.look()
    assert ceiling.room() == smaller


def test_it_grows_only_where_twice_as_much_has_room() -> None:
    process = Process(200)
    ceiling = Ceiling(600 * MB, process)
    smallest = ceiling.room()
    process.peak = 390  # 190 for the smallest windows: twice that is beyond 93 %
    ceiling.look()
    assert ceiling.room() == smallest


def test_peaks_between_looks_are_seen() -> None:
    process = Process(200)
    ceiling = Ceiling(1000 * MB, process)
    for _ in range(5):
        ceiling.look()
    assert ceiling.room() == WINDOW
    process.peak = 950
    ceiling.look()
    assert ceiling.room().rows < WINDOW.rows
    shrunk = ceiling.room()
    ceiling.look()
    assert ceiling.room() == shrunk  # the same peak counts once


def test_what_cannot_be_held_stops_the_job() -> None:
    process = Process(300)
    ceiling = Ceiling(400 * MB, process)
    process.megabytes = 410
    with pytest.raises(BatchStopped, match="take 410 MB where 400 MB are allowed"):
        ceiling.look()


@pytest.mark.parametrize(("now", "peak"), [(390, 390), (300, 410)])
def test_a_limit_that_is_filled_is_refused_with_one_that_will_do(now: int, peak: int) -> None:
    with pytest.raises(InvalidConfig, match=f"the model alone takes {peak} MB .* {now} MB") as no:
        Ceiling(400 * MB, Process(now, peak))
    least = re.search(r"allow (\d+M)", str(no.value))
    assert least is not None
    allowed = parse_bytes(least[1])
    assert allowed is not None
    assert allowed < 470 * MB
    Ceiling(allowed, Process(now, peak)).look()


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


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's peak is Linux'")
def test_the_peak_can_begin_anew() -> None:
    held = np.ones(40 * MB, np.uint8)
    del held
    before = usage().peak
    forget_peak()
    assert usage().peak < before - 20 * MB
