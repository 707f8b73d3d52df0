"""Importing a vendor's module, and what else stands between a graph and its runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_tx.backends import SessionConfig, find
from edge_tx.errors import InvalidConfig, MissingDependency, UnknownName
from edge_tx.vendors import import_vendor, obstacle, options_of
from tests.data.abacus import ABACUS

ROW = replace(ABACUS, unwanted=("abacus_telemetry",))


@pytest.fixture
def abacus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime that reports to its maker if it can."""
    (tmp_path / "abacus_telemetry.py").write_text("", encoding="utf-8")
    (tmp_path / "abacus_runtime.py").write_text(
        "try:\n    import abacus_telemetry\n    REPORTS = True\n"
        "except ImportError:\n    REPORTS = False\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("abacus_runtime", "abacus_telemetry"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("abacus")
def test_what_reports_to_the_maker_is_kept_out() -> None:
    assert import_vendor(ROW).REPORTS is False
    assert "abacus_telemetry" not in sys.modules
    import abacus_telemetry  # type: ignore[import-not-found]  # who wants it still has it

    assert abacus_telemetry.__name__ == "abacus_telemetry"


@pytest.mark.usefixtures("abacus")
def test_rows_without_such_a_module_are_just_imported() -> None:
    assert import_vendor(replace(ROW, unwanted=())).REPORTS is True


def test_absent_module_names_the_line_to_type() -> None:
    with pytest.raises(MissingDependency, match=r"counting needs abacus_runtime.*pip install"):
        import_vendor(ROW, "counting")


def test_openvino_is_kept_from_reporting() -> None:
    assert find("openvino").unwanted == ("openvino_telemetry",)


@pytest.mark.parametrize(
    ("backend", "config", "kind"),
    [
        ("fake", SessionConfig(), type(None)),
        ("no-such-plugin", SessionConfig(), UnknownName),
        ("fake", SessionConfig(device="abacus"), UnknownName),
    ],
)
def test_what_is_in_the_way(backend: str, config: SessionConfig, kind: type) -> None:
    assert isinstance(obstacle(backend, Path("model"), config), kind)


def test_options_need_a_backend() -> None:
    assert options_of(None, named=False) == ()
    assert options_of({"A": "1"}, named=True) == (("A", "1"),)
    with pytest.raises(InvalidConfig, match=r"A, B: .*name the backend"):
        options_of({"A": "1", "B": "2"}, named=False)
