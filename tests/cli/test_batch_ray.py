"""The engine 'ray' on a local cluster: the local engine's files, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx.bench.batch_crash import fingerprints
from edge_tx.errors import BatchStopped, InvalidConfig

ray = pytest.importorskip("ray", reason="pip install 'edge-tx[ray]' for the engine 'ray'")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    words = ["the", "cat", "sat", "on", "a", "mat"]
    rows: list[dict[str, Any]] = [
        {"id": i, "text": " ".join(words[: i % 6 + 1]) if i % 40 else None} for i in range(200)
    ]
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_files_are_those_of_the_local_engine(
    fake_bundle: Callable[..., Path], many: Path, tmp_path: Path
) -> None:
    bundle = fake_bundle("sentence-embedding")
    edge_tx.batch(bundle, many, tmp_path / "here", shard_rows=30, id_column="id")
    common: dict[str, Any] = {"shard_rows": 30, "id_column": "id"}
    begun = edge_tx.batch(bundle, many, tmp_path / "there", stop=lambda: True, **common)
    assert begun.rows == 30
    report = edge_tx.batch(bundle, many, tmp_path / "there", engine="ray", workers=2, **common)
    assert (report.rows, report.bad, report.resumed_rows, report.finished) == (200, 5, 30, True)
    assert fingerprints(tmp_path / "there") == fingerprints(tmp_path / "here")


def test_bad_rows_stdin_and_ceilings(
    fake_bundle: Callable[..., Path], many: Path, tmp_path: Path
) -> None:
    bundle = fake_bundle("sentence-embedding")
    with pytest.raises(BatchStopped, match="3 bad rows, more than the 2"):
        edge_tx.batch(
            bundle, many, tmp_path / "out", engine="ray", shard_rows=50, max_errors=2, workers=1
        )
    with pytest.raises(InvalidConfig, match="max_rss is of the local engine"):
        edge_tx.batch(bundle, many, tmp_path / "no", engine="ray", max_rss="4G")
