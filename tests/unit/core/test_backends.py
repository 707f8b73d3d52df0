"""The table of backends, the seam for plug-ins, and how a graph is opened."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_tx import backends
from edge_tx.backends import Backend, SessionConfig, available, find, known, open_session, resolve
from edge_tx.errors import InvalidConfig, MissingDependency, UnknownName
from tests.data.abacus import ABACUS


class Point:
    """An entry point of another package."""

    value = "abacus_plugin:row"

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> object:
        return self._loaded


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``plug_in(row)``: as if another package were installed that registers it."""

    def register(*rows: object) -> None:
        def entry_points(group: str) -> list[Any]:
            return [Point(row) for row in rows] if group == "edge_tx.backends" else []

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        known.cache_clear()

    yield register
    known.cache_clear()


@pytest.mark.parametrize("row", known().values(), ids=lambda row: row.name)
def test_rows_are_whole(row: Backend) -> None:
    assert row.modules
    assert row.devices
    assert "fp32" in row.precisions
    assert all(suffix.startswith(".") for suffix in row.suffixes)
    assert row.install.startswith("pip install ")
    assert known()[row.name] is row


@pytest.mark.parametrize("row", known().values(), ids=lambda row: row.name)
def test_what_rows_name_is_there(row: Backend) -> None:
    for dotted in filter(None, (row.session, row.exporter, row.quantizer, row.builder)):
        assert callable(resolve(dotted))


def test_unknown_backend_suggests_the_near_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'onnx'"):
        find("onxx")


def test_plug_in_is_a_backend_like_any_other(plug_in: Callable[..., None]) -> None:
    plug_in(ABACUS)
    assert find("abacus") is ABACUS
    assert list(known())[-1] == "abacus"
    assert ABACUS not in available()


def test_plug_in_that_is_no_row_is_refused(plug_in: Callable[..., None]) -> None:
    plug_in("abacus")
    with pytest.raises(InvalidConfig, match="abacus_plugin:row"):
        known()


def test_plug_in_cannot_take_a_name_again(plug_in: Callable[..., None]) -> None:
    plug_in(ABACUS, ABACUS)
    with pytest.raises(InvalidConfig, match="takes the name 'abacus' again"):
        known()


def test_absent_runtime_names_the_line_to_type(plug_in: Callable[..., None]) -> None:
    plug_in(ABACUS)
    with pytest.raises(MissingDependency, match="pip install abacus-runtime"):
        open_session("abacus", Path("model.abc"))


def test_device_is_checked_before_the_runtime(plug_in: Callable[..., None]) -> None:
    plug_in(ABACUS)
    with pytest.raises(UnknownName, match="unknown device of abacus 'wod'; did you mean 'wood'"):
        open_session("abacus", Path("model.abc"), SessionConfig(device="wod"))


def test_preferred_module_is_the_first_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_is_installed", lambda module: module != "first")
    row = Backend("x", "X", ("first", "second", "third"), "", (), ("cpu",), (), True, "")
    assert row.module == "second"


@pytest.mark.parametrize("module", ["no_such_module", "no_such.module", ""])
def test_absent_modules_are_absent(module: str) -> None:
    assert Backend("x", "X", (module,), "", (), ("cpu",), (), True, "").module is None


def test_session_needs_one_thread_and_stream_at_least() -> None:
    with pytest.raises(InvalidConfig, match="threads must be 1 or more, not 0"):
        SessionConfig(threads=0)
    with pytest.raises(InvalidConfig, match="streams must be 1 or more, not 0"):
        SessionConfig(streams=0)
