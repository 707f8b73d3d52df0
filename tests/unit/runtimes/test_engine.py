from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tokenizers import Encoding

from edge_tx.backends import Session, SessionConfig
from edge_tx.errors import InvalidConfig, SessionFailed
from edge_tx.runtimes.engine import Engine
from edge_tx.runtimes.fake import FakeSession
from edge_tx.tensors import Array, DType, TensorSpec
from edge_tx.text import Row, TokenizerPolicy

INPUTS = tuple(
    TensorSpec(name, DType.INT64, ("batch", "seq")) for name in ("input_ids", "attention_mask")
)
OUTPUTS = (TensorSpec("vector", DType.FLOAT32, ("batch", 4)),)
POLICY = TokenizerPolicy(max_length=64, inputs=("input_ids", "attention_mask"))


class Opened:
    """Records how sessions were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.sessions: list[FakeSession] = []

    def __call__(self, threads: int, streams: int) -> Session:
        self.asked.append((threads, streams))
        config = SessionConfig(threads=threads, streams=streams)
        self.sessions.append(FakeSession(INPUTS, OUTPUTS, config))
        return self.sessions[-1]


def rows(count: int, longest: int = 60) -> list[Row]:
    rng = np.random.default_rng(count)
    lengths = rng.integers(1, longest, count)
    ids = [rng.integers(5, 999, n).tolist() for n in lengths]
    return [Row(i, line, Encoding()) for i, line in enumerate(ids)]


def vectors(outputs: Mapping[str, Array], batch: Sequence[Row]) -> list[Any]:
    return list(outputs["vector"].copy())


@pytest.mark.parametrize("streams", [None, 1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_parts_stand_in_the_rows_order(streams: int | None, count: int) -> None:
    engine = Engine(Opened(), threads=2, streams=streams)
    alone = [vectors(Opened()(1, 1).run(_feeds(row)), [row])[0] for row in rows(count)]
    got = engine.run(rows(count), POLICY, vectors)
    assert len(got) == count
    for one, other in zip(alone, got, strict=True):
        np.testing.assert_array_equal(one, other)
    engine.close()


def test_second_session_is_opened_for_a_long_list_only() -> None:
    opened = Opened()
    engine = Engine(opened, threads=2, streams=None)
    engine.run(rows(20), POLICY, vectors)
    assert opened.asked == [(2, 1)]
    engine.run(rows(700), POLICY, vectors)
    engine.run(rows(700), POLICY, vectors)
    assert opened.asked == [(2, 1), (1, 2)]


@pytest.mark.parametrize(("threads", "streams", "asked"), [(1, None, (1, 1)), (4, 2, (2, 2))])
def test_one_session_serves_where_the_layout_is_fixed(
    threads: int, streams: int | None, asked: tuple[int, int]
) -> None:
    opened = Opened()
    engine = Engine(opened, threads=threads, streams=streams)
    engine.run(rows(700), POLICY, vectors)
    engine.run(rows(1), POLICY, vectors)
    assert opened.asked == [asked]


def test_threads_share_an_engine() -> None:
    engine = Engine(Opened(), threads=2, streams=None)
    wanted = [engine.run(rows(n), POLICY, vectors) for n in range(1, 65)]
    with ThreadPoolExecutor(32) as pool:
        got = list(pool.map(lambda n: engine.run(rows(n), POLICY, vectors), range(1, 65)))
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(one, other)


def test_close_closes_every_session_and_refuses_more() -> None:
    opened = Opened()
    engine = Engine(opened, threads=2, streams=None)
    engine.run(rows(700), POLICY, vectors)
    engine.close()
    engine.close()
    for session in opened.sessions:
        with pytest.raises(SessionFailed, match="closed"):
            session.placement()
    with pytest.raises(SessionFailed, match="closed"):
        engine.run(rows(3), POLICY, vectors)


def test_more_streams_than_threads_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="streams must be 1 to 2"):
        Engine(Opened(), threads=2, streams=3)


def _feeds(row: Row) -> dict[str, Array]:
    ids = np.array([row.ids])
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
