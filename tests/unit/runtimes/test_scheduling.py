from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.runtimes.scheduling import plan, run

LENGTHS = st.lists(st.integers(1, 600), max_size=300)


@given(LENGTHS, st.integers(1, 2000))
def test_every_row_is_planned_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = max(lengths[i] for i in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS)
def test_longest_rows_come_first(lengths: list[int]) -> None:
    planned = [lengths[i] for batch in plan(lengths) for i in batch]
    assert planned == sorted(lengths, reverse=True)


def test_streams_run_side_by_side() -> None:
    together = Barrier(2, timeout=30)

    def meet(batch: list[int]) -> None:
        together.wait()

    with ThreadPoolExecutor(2) as pool:
        run(meet, [[0], [1]], pool)


def test_first_error_stops_what_has_not_started() -> None:
    started: list[int] = []

    def work(batch: list[int]) -> None:
        started.append(batch[0])
        raise ValueError(batch[0])

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="0"):
        run(work, [[i] for i in range(1000)], pool)
    assert started == [0]
