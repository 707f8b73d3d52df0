"""edge_tx' own wheel, for another machine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edge_tx.bench import wheels
from edge_tx.errors import InvalidConfig

METADATA = "Metadata-Version: 2.4\nName: edge-tx\nProvides-Extra: openvino\nProvides-Extra: dev\n"


def wheel(path: Path, code: str = "pass", year: int = 2024) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (("edge_tx/a.py", code), ("edge_tx-1.dist-info/METADATA", METADATA)):
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), text)
    return path


def test_extras_are_read_from_the_wheel(tmp_path: Path) -> None:
    assert wheels.extras(wheel(tmp_path / "edge_tx-1.whl")) == {"openvino", "dev"}


def test_identity_is_that_of_the_contents(tmp_path: Path) -> None:
    one = wheel(tmp_path / "one.whl")
    assert wheels.identity(wheel(tmp_path / "later.whl", year=2025)) == wheels.identity(one)
    assert wheels.identity(wheel(tmp_path / "other.whl", code="x = 1")) != wheels.identity(one)


def test_a_wheelhouse_may_hold_ours_or_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="holds no wheels"):
        wheels.find(tmp_path)
    (tmp_path / "numpy-2.whl").touch()
    assert wheels.find(tmp_path) is None
    ours = wheel(tmp_path / "edge_tx-1.whl")
    assert wheels.find(tmp_path) == ours


def test_the_checkout_builds_and_stays_as_it_was(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    before = {path.name for path in root.iterdir()}
    built = wheels.build(tmp_path)
    assert {path.name for path in root.iterdir()} == before
    assert {"openvino", "tflite"} <= wheels.extras(built)
