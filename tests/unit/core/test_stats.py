from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx import stats
from edge_tx.errors import InvalidConfig
from edge_tx.stats import LatencyStats, MemoryStats, percentile


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([0.1, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_nearest_rank(samples: list[int], percent: float) -> None:
    ordered = sorted(samples)
    expected = np.percentile(ordered, percent, method="inverted_cdf")
    assert percentile(ordered, percent) == expected


@pytest.mark.parametrize(("percent", "rank"), [(50, 500), (90, 900), (99, 990), (99.9, 999)])
def test_ranks_of_a_thousand_are_exact(percent: float, rank: int) -> None:
    assert percentile(range(1, 1001), percent) == rank


def test_latency() -> None:
    found = LatencyStats.of([30, 10, 20, 40])
    assert found == LatencyStats(4, 25, 10, 20, 40, 40, 40, 40)
    assert found.per_second(items=2) == pytest.approx(2 * 1e9 / 25)
    assert found.to_dict()["p50_ns"] == 20


@pytest.mark.parametrize("samples", [[], [1, -1]])
def test_latency_needs_samples(samples: list[int]) -> None:
    with pytest.raises(InvalidConfig):
        LatencyStats.of(samples)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_this_process() -> None:
    before = MemoryStats.read()
    block = np.ones(64 << 20, dtype=np.uint8)
    after = MemoryStats.read()
    del block
    assert before.rss_bytes is not None
    assert after.rss_bytes is not None
    assert after.rss_bytes - before.rss_bytes > 60 << 20
    assert after.peak_rss_bytes is not None
    assert after.peak_rss_bytes >= after.rss_bytes
    assert after.to_dict()["anonymous_bytes"] == after.anonymous_bytes


def test_memory_that_cannot_be_measured_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    assert MemoryStats.read() == MemoryStats(None, None, None)


def test_a_kernel_that_leaves_lines_out(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t  12 kB\nVmRSS:\todd\n")
    assert stats._from_proc(status) == MemoryStats(12 * 1024, None, None)
    assert stats._from_proc(tmp_path / "nothing") == MemoryStats(None, None, None)
