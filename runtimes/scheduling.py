"""Which rows run together: batches of like length within a token budget, spread over streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from edge_tx.text import Row

__all__ = ["TOKEN_BUDGET", "Batch", "by_item", "plan", "run"]

# Padded tokens of one batch. Measured with all-MiniLM-L6-v2 on two cores: on two one-thread
# streams, batches of 192 to 512 tokens are equally fast and 1,024 is slower by a twentieth, since
# a layer's activations (384 x 1536 floats, 2 MB) then stay in a core's own cache; and they bound
# memory.
TOKEN_BUDGET = 384

Batch = list[int]


def plan(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> list[Batch]:
    """Groups rows into batches.

    Rows are sorted by length, the longest first: neighbours need little padding, the largest
    allocation comes first so that memory does not creep, and the stream that finishes last is
    held up by a short batch.

    Args:
        lengths: Tokens of each row.
        budget: Most padded tokens in a batch; a row longer than this is a batch of its own.

    Returns:
        Indices of the rows, each exactly once.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        fits = max(1, budget // max(1, lengths[order[start]]))
        batches.append(order[start : start + fits])
        start += fits
    return batches


def run(work: Callable[[Batch], None], batches: Sequence[Batch], streams: Executor | None) -> None:
    """Runs every batch, at the same time where there are streams.

    The first error stops batches that have not started, and is raised when those under way
    are done.

    Args:
        work: What to do with a batch.
        batches: The plan.
        streams: Where to run them; None runs them here, one after another.
    """
    if streams is None or len(batches) == 1:
        for batch in batches:
            work(batch)
        return
    from concurrent.futures import wait

    failed = Event()

    def guarded(batch: Batch) -> None:
        if failed.is_set():
            return
        try:
            work(batch)
        except BaseException:
            failed.set()
            raise

    futures = [streams.submit(guarded, batch) for batch in batches]
    wait(futures)
    for future in futures:
        future.result()


def by_item(
    rows: Sequence[Row], parts: Sequence[Any], items: int
) -> Iterator[tuple[Sequence[Row], Sequence[Any]]]:
    """Splits rows and parts, which stand in the items' order, into one pair of runs per item."""
    start = 0
    for item in range(items):
        end = start
        while end < len(rows) and rows[end].item == item:
            end += 1
        yield rows[start:end], parts[start:end]
        start = end
