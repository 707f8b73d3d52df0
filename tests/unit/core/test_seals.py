from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge_tx.bundle
from edge_tx import seals
from edge_tx.bundle import Bundle
from edge_tx.bundle_folder import hash_file
from edge_tx.errors import BundleCorrupt

WEIGHTS = "graphs/onnx-fp32/data/weights.bin"
WriteBundle = Callable[..., Bundle]


@pytest.fixture
def bundle(write_bundle: WriteBundle, tmp_path: Path) -> Bundle:
    """A bundle with a file that is large enough to be sealed."""
    return write_bundle(tmp_path / "b", weights=bytes(2 << 20))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGE_TX_CACHE", str(folder))
    return folder


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read and hashed, as they are."""
    names: list[str] = []

    def counting(path: Path) -> tuple[int, str]:
        names.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(edge_tx.bundle, "hash_file", counting)
    return names


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are a minute old."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)


def _use(root: Path) -> None:
    opened = Bundle.open(root)
    opened.entry(opened.graph())


@pytest.mark.usefixtures("later")
def test_a_large_file_is_hashed_once_on_a_machine(bundle: Bundle, hashed: list[str]) -> None:
    _use(bundle.root)
    assert "weights.bin" in hashed
    hashed.clear()
    _use(bundle.root)
    assert "weights.bin" not in hashed
    assert hashed  # small files are not worth remembering


@pytest.mark.usefixtures("later")
def test_a_write_breaks_the_seal_though_size_and_time_are_put_back(bundle: Bundle) -> None:
    _use(bundle.root)
    path = bundle.root / WEIGHTS
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"\x01")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BundleCorrupt, match=r"weights\.bin is damaged"):
        _use(bundle.root)


@pytest.mark.usefixtures("later")
def test_check_hashes_what_is_sealed(bundle: Bundle, hashed: list[str]) -> None:
    _use(bundle.root)
    hashed.clear()
    Bundle.open(bundle.root).check()
    assert "weights.bin" in hashed


def test_a_young_file_is_not_sealed(bundle: Bundle, hashed: list[str]) -> None:
    _use(bundle.root)
    hashed.clear()
    _use(bundle.root)
    assert "weights.bin" in hashed


@pytest.mark.usefixtures("later")
def test_remembering_can_be_switched_off(
    bundle: Bundle, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(bundle.root)
    monkeypatch.setenv(seals.ALWAYS_HASH, "1")
    hashed.clear()
    _use(bundle.root)
    assert "weights.bin" in hashed


@pytest.mark.usefixtures("later")
def test_a_cache_that_cannot_be_written_costs_only_time(bundle: Bundle, cache: Path) -> None:
    cache.write_text("a file where the folder should be", encoding="utf-8")
    _use(bundle.root)
    _use(bundle.root)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(WEIGHTS), inner),
)


@pytest.mark.usefixtures("later")
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_content_of_the_cache_hides_damage(bundle: Bundle, cache: Path, content: bytes) -> None:
    _use(bundle.root)
    (remembered,) = (cache / "seals").iterdir()
    path = bundle.root / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(b"\x01" + whole[1:])
    remembered.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        _use(bundle.root)
    path.write_bytes(whole)
    _use(bundle.root)
