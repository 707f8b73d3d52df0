"""Measurements: read strictly, remembered in one step, ignored when they do not apply."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx import tuning_store
from edge_tx.bundle import Bundle
from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.tuning import Goal, Machine, Measurement, Tuning, goal_of, read, write
from edge_tx.tuning_store import bundle_hash, machine_for, place_of, prepare, recall, save

MACHINE = Machine("x86_64", "a cpu", ("avx2",), 2, 2, None, (), ("onnxruntime-1.32.0",))
ONNX = Measurement("onnx-fp32", "onnx", 4_000_000, 9_000_000, 50.0, 10**8, 10**9)
TUNING = Tuning("ab" * 32, MACHINE, "auto", 2, Goal.LATENCY, None, (ONNX,), "2026-01-02", "0.1.0")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def remembered(bundle: Bundle) -> Path:
    """A good record of the bundle on this machine."""
    path = place_of(bundle)
    save(replace(TUNING, bundle=bundle_hash(bundle), machine=machine_for(bundle)), path)
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record))


class TestRecord:
    def test_reads_what_it_writes(self) -> None:
        assert read(write(TUNING), "record") == TUNING

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("schema", 2),
            ("threads", 0),
            ("goal", "speed"),
            ("min_accuracy", 1.5),
            ("graphs", [{}]),
            ("device", None),
            ("surprise", 1),
        ],
    )
    def test_wrong_field_is_refused_by_name(self, key: str, value: object) -> None:
        record = json.loads(write(TUNING)) | {key: value}
        with pytest.raises(InvalidConfig, match=key):
            read(json.dumps(record).encode(), "record")

    @pytest.mark.parametrize(("key", "value"), [("short_ns", 0), ("per_second", -1.0)])
    def test_impossible_number_is_refused(self, key: str, value: float) -> None:
        record = json.loads(write(TUNING))
        record["graphs"][0][key] = value
        with pytest.raises(InvalidConfig, match=key):
            read(json.dumps(record).encode(), "record")

    def test_graph_twice_is_refused(self) -> None:
        with pytest.raises(InvalidConfig, match="twice"):
            read(write(replace(TUNING, graphs=(ONNX, ONNX))), "record")

    @pytest.mark.parametrize(
        ("goal", "cost", "words"),
        [
            (Goal.LATENCY, 6e6, "6.00 ms a call"),
            (Goal.THROUGHPUT, 0.02, "50 inputs a second"),
            (Goal.MEMORY, 1e8, "100 MB at the peak"),
        ],
    )
    def test_cost_of_each_goal(self, goal: Goal, cost: float, words: str) -> None:
        tuning = replace(TUNING, goal=goal)
        assert tuning.cost("onnx-fp32") == pytest.approx(cost)
        assert tuning.shown(cost) == words

    def test_what_was_not_measured_has_no_cost(self) -> None:
        failed = replace(ONNX, problem="crashed")
        unknown = replace(ONNX, peak_rss_bytes=None)
        assert TUNING.cost("another") is None
        assert replace(TUNING, graphs=(failed,)).cost("onnx-fp32") is None
        assert replace(TUNING, goal=Goal.MEMORY, graphs=(unknown,)).cost("onnx-fp32") is None

    def test_unknown_goal_says_which_there_are(self) -> None:
        with pytest.raises(UnknownName, match="latency, memory, throughput"):
            goal_of("speed")


class TestRecall:
    def test_finds_what_was_saved(self, bundle: Bundle, remembered: Path) -> None:
        found = recall(bundle)
        assert found.warning == ""
        assert found.tuning is not None
        assert found.tuning.graphs == (ONNX,)
        assert [p.name for p in remembered.parent.iterdir()] == [remembered.name]

    def test_nothing_measured_is_no_warning(self, bundle: Bundle) -> None:
        assert recall(bundle) == tuning_store.Remembered()

    @pytest.mark.parametrize("field", ["quota", "instruction_sets", "accelerators", "runtimes"])
    def test_changed_device_is_told(
        self, bundle: Bundle, remembered: Path, monkeypatch: pytest.MonkeyPatch, field: str
    ) -> None:
        now: Any = 0.5 if field == "quota" else ("something else",)
        changed = replace(machine_for(bundle), **{field: now})
        monkeypatch.setattr(tuning_store, "machine_for", lambda _bundle: changed)
        found = recall(bundle)
        assert found.tuning is None
        assert "before something changed" in found.warning

    def test_other_device_asked_for_has_its_own(self, bundle: Bundle, remembered: Path) -> None:
        assert recall(bundle, "cuda").tuning is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: r.update(bundle="cd" * 32),
            lambda r: r.update(device="cuda"),
            lambda r: r["machine"].update(cpu="another"),
            lambda r: r["graphs"][0].update(graph="another"),
            lambda r: r["graphs"][0].update(backend="another"),
            lambda r: r["graphs"][0].update(short_ns="fast"),
        ],
    )
    def test_foreign_or_damaged_record_is_ignored_with_a_warning(
        self, bundle: Bundle, remembered: Path, change: Callable[[dict[str, Any]], object]
    ) -> None:
        edit(remembered, change)
        found = recall(bundle)
        assert found.tuning is None
        assert f"the measurement in {remembered} is ignored" in found.warning
        assert "edge-tx tune" in found.warning

    @pytest.mark.parametrize("kind", ["folder", "pipe", "huge"])
    def test_what_is_no_record_is_ignored(
        self, bundle: Bundle, remembered: Path, kind: str
    ) -> None:
        remembered.unlink()
        if kind == "folder":
            remembered.mkdir()
        elif kind == "pipe":
            if not hasattr(os, "mkfifo"):
                pytest.skip("this system has no named pipes")
            os.mkfifo(remembered)
        else:
            remembered.write_bytes(b" " * (1 << 20) + b"{}")
        assert "is ignored" in recall(bundle).warning

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(data=st.binary(max_size=200))
    def test_any_bytes_are_ignored(self, bundle: Bundle, remembered: Path, data: bytes) -> None:
        remembered.write_bytes(data)
        assert recall(bundle).tuning is None

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
    def test_any_changed_byte_never_raises(
        self, bundle: Bundle, remembered: Path, position: int, byte: int
    ) -> None:
        good = remembered.read_bytes()
        damaged = bytearray(good)
        damaged[position % len(damaged)] = byte
        remembered.write_bytes(damaged)
        found = recall(bundle)
        assert (found.tuning is None) == bool(found.warning)
        remembered.write_bytes(good)


class TestSave:
    def test_replaces_the_old_one(self, bundle: Bundle, remembered: Path) -> None:
        found = recall(bundle).tuning
        assert found is not None
        save(replace(found, threads=7), remembered)
        again = recall(bundle).tuning
        assert again is not None
        assert again.threads == 7

    def test_cache_that_cannot_be_written_is_told_beforehand(
        self, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "file"))
        with pytest.raises(InvalidConfig, match="EDGE_TX_CACHE"):
            prepare(place_of(bundle))
        assert recall(bundle).tuning is None


def test_releases_are_read_beside_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_vendor").mkdir()
    (tmp_path / "some_vendor" / "__init__.py").touch()
    for name in ("some_vendor-1.2.3", "Some_Vendor_libs-4.5", "another-6.7"):
        (tmp_path / f"{name}.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    found = tuning_store._releases(["some_vendor", "not_there_at_all"])
    assert found == ["Some_Vendor_libs-4.5", "some_vendor-1.2.3"]
