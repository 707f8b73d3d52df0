"""The contract that every backend of edge_tx keeps, and what this one adds to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_tx.backends import SessionConfig, open_session
from edge_tx.errors import FeedMismatch, InvalidConfig, SessionFailed
from edge_tx.testing import Sample, SessionContract

Exported = Callable[[str], Sample]

_LONGEST = 40


@pytest.fixture(scope="module")
def exported(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from edge_tx_executorch.exporter import export

    from edge_tx.exporters import source

    made: dict[str, Sample] = {}

    def sample(task: str) -> Sample:
        if task not in made:
            traced = source.load(str(tiny(task)), task=task, max_length=_LONGEST)
            made[task] = Sample(
                export(traced, tmp_path_factory.mktemp("executorch")).entry,
                traced.inputs,
                traced.outputs,
                traced.reference,
                vocabulary=100,
                longest=_LONGEST,
            )
        return made[task]

    return sample


class TestExecuTorch(SessionContract):
    backend = "executorch"

    @pytest.fixture(params=["sentence-embedding", "token-classification"])
    def sample(self, request: pytest.FixtureRequest, exported: Exported) -> Sample:
        return exported(request.param)

    def test_symbols_are_the_exporters(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        assert session.inputs == sample.inputs
        assert session.outputs == sample.outputs
        session.close()

    def test_longer_rows_than_memory_is_planned_for_are_refused(self, sample: Sample) -> None:
        session = open_session(self.backend, sample.entry)
        with pytest.raises(FeedMismatch, match=f"{_LONGEST + 1} tokens"):
            session.run(sample.feeds([_LONGEST + 1]))
        session.close()


@pytest.fixture
def sample(exported: Exported) -> Sample:
    return exported("sentence-embedding")


def test_threads_of_all_streams_serve_each_call(sample: Sample) -> None:
    session = open_session("executorch", sample.entry, SessionConfig(threads=1, streams=3))
    assert (session.placement().threads, session.placement().streams) == (3, 1)
    session.close()


def test_pool_is_not_replaced_under_an_open_graph(sample: Sample) -> None:
    first = open_session("executorch", sample.entry, SessionConfig(threads=2))
    same = open_session("executorch", sample.entry, SessionConfig(threads=1, streams=2))
    with pytest.raises(InvalidConfig, match="holds it at 2 threads"):
        open_session("executorch", sample.entry, SessionConfig(threads=3))
    same.close()
    first.close()
    freed = open_session("executorch", sample.entry, SessionConfig(threads=3))
    assert freed.placement().threads == 3
    freed.close()


def test_graph_that_fails_to_open_lets_go_of_the_pool(sample: Sample) -> None:
    with pytest.raises(SessionFailed):
        open_session("executorch", Path("gone.pte"), SessionConfig(threads=2))
    open_session("executorch", sample.entry, SessionConfig(threads=3)).close()


def test_forgotten_session_lets_go_of_the_pool(sample: Sample) -> None:
    open_session("executorch", sample.entry, SessionConfig(threads=2))
    open_session("executorch", sample.entry, SessionConfig(threads=3)).close()


def test_options_are_refused(sample: Sample) -> None:
    with pytest.raises(InvalidConfig, match="speed"):
        open_session("executorch", sample.entry, SessionConfig(options=(("speed", "9"),)))


def test_opening_and_failing_are_silent(sample: Sample, capfd: pytest.CaptureFixture[str]) -> None:
    open_session("executorch", sample.entry, SessionConfig(threads=2)).close()
    with pytest.raises(SessionFailed):
        open_session("executorch", Path("gone.pte"))
    assert capfd.readouterr() == ("", "")
