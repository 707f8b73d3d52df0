"""The contract every backend keeps, as a test class that a plug-in's own tests inherit.

Needs pytest. A backend opts in with a class that names itself and gives graphs::

    class TestMyBackend(SessionContract):
        backend = "mine"

        @pytest.fixture(params=["embedding", "labels"])
        def sample(self, request) -> Sample: ...

What a backend cannot do is an ``xfail`` with its reason in that class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge_tx.backends import Session, SessionConfig, find, open_session
from edge_tx.errors import FeedMismatch, SessionFailed, UnknownName
from edge_tx.tensors import Array, TensorSpec

__all__ = ["Sample", "SessionContract"]

_THREADS = 8


@dataclass(frozen=True)
class Sample:
    """A graph to hold a backend to.

    Attributes:
        entry: The graph's file.
        inputs: What it takes, as the exporter says.
        outputs: What it returns, as the exporter says.
        reference: The fp32 truth: feeds to outputs.
        vocabulary: Token ids run from 0 to this, exclusive.
        longest: Most tokens in a row.
        tolerance: Largest error against the reference, relative to the largest magnitude.
    """

    entry: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reference: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    vocabulary: int
    longest: int
    tolerance: float = 1e-4

    def feeds(self, lengths: list[int], seed: int = 0) -> dict[str, Array]:
        """Random rows of these lengths, padded to the longest, ``int64[batch, seq]``."""
        rng = np.random.default_rng(seed)
        seq = max(lengths)
        mask = (np.arange(seq) < np.array(lengths)[:, None]).astype(np.int64)
        columns = {
            "input_ids": rng.integers(5, self.vocabulary, (len(lengths), seq)) * mask,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        return {spec.name: columns[spec.name] for spec in self.inputs}


class SessionContract:
    """What a session of any backend does."""

    backend: str

    @pytest.fixture
    def sample(self) -> Sample:
        """A graph; a backend's own class gives it, usually parametrised over tasks."""
        raise NotImplementedError("the backend's test class gives a sample")

    @pytest.fixture
    def session(self, sample: Sample) -> Iterator[Session]:
        """The sample's graph, open."""
        opened = open_session(self.backend, sample.entry, SessionConfig(threads=2))
        yield opened
        opened.close()

    def test_row_names_suffix_of_entry(self, sample: Sample) -> None:
        assert sample.entry.name.endswith(find(self.backend).suffixes)

    def test_specs_are_the_exporters(self, sample: Sample, session: Session) -> None:
        assert [(s.name, s.dtype) for s in session.inputs] == [
            (s.name, s.dtype) for s in sample.inputs
        ]
        assert [(s.name, s.dtype, len(s.shape)) for s in session.outputs] == [
            (s.name, s.dtype, len(s.shape)) for s in sample.outputs
        ]

    @pytest.mark.parametrize(
        "lengths",
        [[7], [1], [2, 2], [3, 9, 5], [5] * 17, [1, 30, 2, 29]],
        ids=["one", "shortest", "pair", "ragged", "many", "uneven"],
    )
    def test_results_are_the_references(
        self, sample: Sample, session: Session, lengths: list[int]
    ) -> None:
        feeds = sample.feeds(lengths)
        _assert_close(sample, feeds, session.run(feeds))

    def test_longest_row(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([sample.longest])
        _assert_close(sample, feeds, session.run(feeds))

    def test_feeds_are_matched_by_name(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([4, 6])
        backwards = dict(reversed(feeds.items()))
        for name, array in session.run(backwards).items():
            np.testing.assert_array_equal(array, session.run(feeds)[name])

    def test_integer_types_are_converted(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([4, 6])
        narrow = {name: array.astype(np.int32) for name, array in feeds.items()}
        _assert_close(sample, feeds, session.run(narrow))

    def test_strided_feeds_are_taken(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([6, 6])
        strided = {name: np.repeat(array, 2, axis=1)[:, ::2] for name, array in feeds.items()}
        _assert_close(sample, feeds, session.run(strided))

    def test_all_problems_of_feeds_are_listed(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([4, 6])
        del feeds["input_ids"]
        feeds["attention_mask"] = feeds["attention_mask"][0]
        feeds["surprise"] = np.zeros((2, 6), np.int64)
        with pytest.raises(FeedMismatch) as failure:
            session.run(feeds)
        for name in ("input_ids", "attention_mask", "surprise"):
            assert f"'{name}'" in str(failure.value)

    def test_floats_are_refused(self, sample: Sample, session: Session) -> None:
        feeds = {name: array.astype(np.float32) for name, array in sample.feeds([4]).items()}
        with pytest.raises(FeedMismatch, match="float32"):
            session.run(feeds)

    def test_sizes_that_disagree_are_refused(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([4, 6])
        feeds["attention_mask"] = feeds["attention_mask"][:, :3]
        with pytest.raises(FeedMismatch, match="seq"):
            session.run(feeds)

    def test_results_belong_to_the_caller(self, sample: Sample, session: Session) -> None:
        feeds = sample.feeds([5])
        first = session.run(feeds)
        copies = {name: array.copy() for name, array in first.items()}
        session.run(sample.feeds([5], seed=1))
        for name, array in first.items():
            np.testing.assert_array_equal(array, copies[name])

    def test_threads_share_a_session(self, sample: Sample, session: Session) -> None:
        feeds = [sample.feeds([3 + seed, 9], seed) for seed in range(2 * _THREADS)]
        alone = [session.run(f) for f in feeds]
        with ThreadPoolExecutor(_THREADS) as pool:
            together = list(pool.map(session.run, feeds))
        for one, other in zip(alone, together, strict=True):
            for name, array in one.items():
                np.testing.assert_allclose(other[name], array, rtol=0, atol=1e-5)

    def test_placement_is_read_back(self, session: Session) -> None:
        placement = session.placement()
        assert placement.backend == self.backend
        assert placement.device in find(self.backend).devices
        assert placement.threads == 2
        assert placement.runtime

    def test_unknown_device_is_refused(self, sample: Sample) -> None:
        with pytest.raises(UnknownName, match="abacus"):
            open_session(self.backend, sample.entry, SessionConfig(device="abacus"))

    def test_closed_session_is_refused(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        session.close()
        session.close()
        with pytest.raises(SessionFailed, match="closed"):
            session.run(sample.feeds([4]))

    def test_graph_reopens(self, sample: Sample) -> None:
        feeds = sample.feeds([4])
        for _ in range(2):
            session = open_session(self.backend, sample.entry)
            _assert_close(sample, feeds, session.run(feeds))
            session.close()

    def test_missing_graph_is_refused(self, sample: Sample) -> None:
        gone = sample.entry.with_name(f"gone{find(self.backend).suffixes[0]}")
        with pytest.raises(SessionFailed):
            open_session(self.backend, gone)

    def test_damaged_graph_is_refused(self, sample: Sample, tmp_path: Path) -> None:
        broken = tmp_path / sample.entry.name
        broken.write_bytes(b"\x00not a graph" * 40)
        with pytest.raises(SessionFailed):
            open_session(self.backend, broken)


def _assert_close(sample: Sample, feeds: Mapping[str, Array], got: Mapping[str, Array]) -> None:
    wanted = sample.reference(feeds)
    mask = feeds["attention_mask"].astype(bool)
    assert list(got) == [spec.name for spec in sample.outputs]
    for spec in sample.outputs:
        one, other = wanted[spec.name], got[spec.name]
        assert one.shape == other.shape
        if len(spec.shape) > 1 and spec.shape[1] == "seq":  # padded places mean nothing
            one, other = one[mask], other[mask]
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(other, one, rtol=0, atol=sample.tolerance * scale)
