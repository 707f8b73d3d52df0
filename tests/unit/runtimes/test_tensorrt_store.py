import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge_tx.errors import SessionFailed
from edge_tx.runtimes.tensorrt_build import Settings
from edge_tx.runtimes.tensorrt_records import Proof, Record, Target, graph_hash, key_of
from edge_tx.runtimes.tensorrt_store import Store, default_root

TARGET = Target("tensorrt", "10.3.0", 87, "linux-aarch64", "Orin", "12.6")
PROOF = Proof(12, 1e-6, 1.0, 1.0)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    folder = tmp_path / "tensorrt-fp16"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"a graph")
    (folder / "profiles.json").write_bytes(b"its profiles")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def put(
    store: Store,
    graph: Path,
    plan: bytes = b"an engine",
    target: Target = TARGET,
    settings: Settings | None = None,
    proof: Proof | None = PROOF,
) -> Record:
    with store.workshop() as folder:
        (folder / "engine").write_bytes(plan)
        record = store.keep(
            folder / "engine",
            graph_hash(graph),
            target,
            settings or Settings(),
            seconds=1.5,
            built_ns=time.time_ns(),
        )
    return record if proof is None else store.proven(record, proof)


def record_file(store: Store, record: Record) -> Path:
    return store.path(record).with_name(f"{record.key}.json")


def test_what_is_kept_is_opened(store: Store, graph: Path) -> None:
    record = put(store, graph)
    assert store.open(graph, TARGET) == b"an engine"
    assert store.find(graph_hash(graph), TARGET, Settings()) == record
    assert record.engine == hashlib.sha256(b"an engine").hexdigest()


def test_the_last_built_is_opened(store: Store, graph: Path) -> None:
    put(store, graph, b"one")
    put(store, graph, b"other", settings=Settings(optimization_level=5))
    assert store.open(graph, TARGET) == b"other"
    put(store, graph, b"one")
    assert store.open(graph, TARGET) == b"one"


@pytest.mark.parametrize(
    "other",
    [
        replace(TARGET, version="10.3.1"),
        replace(TARGET, gpu="Orin Nano"),
        replace(TARGET, driver="12.7"),
        replace(TARGET, compute_capability=86),
        replace(TARGET, platform="linux-x86_64"),
        replace(TARGET, backend="tensorrt_rtx"),
    ],
)
def test_an_engine_for_anything_else_is_not_opened(
    store: Store, graph: Path, other: Target
) -> None:
    put(store, graph, target=other)
    with pytest.raises(SessionFailed, match="no engine of tensorrt-fp16 for Orin by tensorrt"):
        store.open(graph, TARGET)


@pytest.mark.parametrize("name", ["model.onnx", "profiles.json", "new.data"])
def test_an_engine_of_another_graph_is_not_opened(store: Store, graph: Path, name: str) -> None:
    put(store, graph)
    (graph / name).write_bytes(b"changed")
    with pytest.raises(SessionFailed, match="no engine"):
        store.open(graph, TARGET)


def test_other_settings_are_another_engine(store: Store, graph: Path) -> None:
    put(store, graph)
    assert store.find(graph_hash(graph), TARGET, Settings(workspace_bytes=1 << 20)) is None


def test_a_changed_engine_is_not_opened(store: Store, graph: Path) -> None:
    record = put(store, graph)
    store.path(record).write_bytes(b"an englne")
    with pytest.raises(SessionFailed, match="not the engine that was built"):
        store.open(graph, TARGET)
    assert store.find(graph_hash(graph), TARGET, Settings()) is None


def test_a_missing_engine_is_told(store: Store, graph: Path) -> None:
    record = put(store, graph)
    store.path(record).unlink()
    with pytest.raises(SessionFailed, match="cannot read the engine"):
        store.open(graph, TARGET)
    assert store.find(graph_hash(graph), TARGET, Settings()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "0" * 64},
        {"graph": "0" * 64},
        {"schema": 2},
        {"engine": "../../elsewhere"},
        {"settings": {"workspace_bytes": 7, "optimization_level": -1}},
        {"surprise": 1},
        {"proof": "yes"},
    ],
)
def test_a_record_that_is_not_ours_counts_for_nothing(
    store: Store, graph: Path, changes: dict[str, object]
) -> None:
    path = record_file(store, put(store, graph))
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(SessionFailed, match="no engine"):
        store.open(graph, TARGET)


def test_an_engine_without_a_record_is_not_opened(store: Store, graph: Path) -> None:
    record_file(store, put(store, graph)).unlink()
    with pytest.raises(SessionFailed, match="no engine"):
        store.open(graph, TARGET)


def test_an_engine_that_was_not_proven_is_only_opened_to_prove_it(
    store: Store, graph: Path
) -> None:
    put(store, graph, proof=None)
    with pytest.raises(SessionFailed, match="not held against the golden answers"):
        store.open(graph, TARGET)
    assert store.open(graph, TARGET, unproven=True) == b"an engine"


@pytest.mark.skipif(os.name == "nt", reason="Windows has access lists, not modes")
@pytest.mark.parametrize("whose", ["root", "place"])
def test_a_folder_others_may_write_to_is_not_trusted(store: Store, graph: Path, whose: str) -> None:
    record = put(store, graph)
    folder = {"root": store.root, "place": store.path(record).parent}[whose]
    folder.chmod(0o777)
    with pytest.raises(SessionFailed, match=r"others may write .* chmod go-w"):
        store.open(graph, TARGET)


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.workshop() as folder:
        (folder / "engine").write_bytes(b"half")
        raise RuntimeError
    assert list(store.root.iterdir()) == []


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SessionFailed, match="give another --cache-dir"),
        Store(tmp_path / "file" / "cache").workshop(),
    ):
        pass


def test_discarded_engines_are_gone(store: Store, graph: Path) -> None:
    record = put(store, graph)
    store.discard(record)
    assert list(store.path(record).parent.iterdir()) == []


def test_keys_depend_on_everything() -> None:
    keys = {
        key_of("a", TARGET, Settings()),
        key_of("b", TARGET, Settings()),
        key_of("a", replace(TARGET, driver="13.0"), Settings()),
        key_of("a", TARGET, Settings(optimization_level=0)),
    }
    assert len(keys) == 4


def test_the_root_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path))
    assert default_root() == tmp_path / "engines"
