from __future__ import annotations

import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx import archive
from edge_tx.bundle import Bundle
from edge_tx.errors import BundleCorrupt, BundleError, BundleUnsafe, InvalidConfig

Contents = Callable[[Path], Mapping[str, bytes]]
WriteBundle = Callable[..., Bundle]


@pytest.fixture
def etx(bundle: Bundle, tmp_path: Path) -> Path:
    return bundle.pack(tmp_path / "bundle.etx")


def test_what_is_packed_is_unpacked(bundle: Bundle, etx: Path, contents: Contents) -> None:
    opened = Bundle.open(etx)
    opened.check()
    assert opened.origin == etx
    assert contents(opened.root) == contents(bundle.root)


def test_packing_is_deterministic_and_plain_zip(bundle: Bundle, etx: Path, tmp_path: Path) -> None:
    os.utime(bundle.root / "tokenizer.json", (1, 1))
    os.utime(bundle.root / "graphs", (2, 2))
    assert bundle.pack(tmp_path / "again.etx").read_bytes() == etx.read_bytes()
    with zipfile.ZipFile(etx) as file:
        assert file.testzip() is None
        names = file.namelist()
        assert names[0] == "manifest.json"
        assert names[1:] == sorted(names[1:])
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
    # Packing what was unpacked gives the same file again.
    assert Bundle.open(etx).pack(tmp_path / "third.etx").read_bytes() == etx.read_bytes()


def test_the_writer_packs(tmp_path: Path, write_bundle: WriteBundle, etx: Path) -> None:
    written = write_bundle(tmp_path / "written.etx")
    assert written.origin.read_bytes() == etx.read_bytes()
    written = write_bundle(tmp_path / "written.etx", weights=b"new")
    assert written.origin.read_bytes() != etx.read_bytes()


def test_packing_needs_the_suffix(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"must end in \.etx"):
        bundle.pack(tmp_path / "bundle.zip")


def test_a_damaged_bundle_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.root / "graphs/onnx-fp32/data/weights.bin").write_bytes(b"wrongly")
    with pytest.raises(BundleCorrupt, match="damaged"):
        bundle.pack(tmp_path / "x.etx")
    assert not (tmp_path / "x.etx").exists()


def test_it_is_unpacked_once(etx: Path, own_cache: Path) -> None:
    root = Bundle.open(etx).root
    inode = (root / "manifest.json").stat().st_ino
    assert Bundle.open(etx).root == root
    assert (root / "manifest.json").stat().st_ino == inode
    assert [p.name for p in own_cache.iterdir()] == [root.name]


def test_a_damaged_cache_is_named(etx: Path) -> None:
    root = Bundle.open(etx).root
    (root / "graphs/onnx-fp32/data/weights.bin").write_bytes(b"wrongly")
    opened = Bundle.open(etx)
    with pytest.raises(BundleCorrupt, match=r"delete .*cache"):
        opened.entry(opened.graph())
    (root / "golden.json").unlink()
    with pytest.raises(BundleCorrupt, match="cached copy: delete"):
        Bundle.open(etx)


def test_a_cache_that_cannot_be_written_is_an_error_if_it_was_asked_for(
    etx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BundleError, match="cannot write EDGE_TX_CACHE"):
        Bundle.open(etx)


def test_a_read_only_device_unpacks_to_a_temporary_folder(
    etx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("EDGE_TX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with Bundle.open(etx) as opened:
        opened.check()
        root = opened.root
    assert not root.exists()


def test_the_cache_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGE_TX_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert archive.cache_folder() == tmp_path / ".cache/edge_tx/bundles"
    monkeypatch.setattr("sys.platform", "darwin")
    assert archive.cache_folder() == tmp_path / "Library/Caches/edge_tx/bundles"


def _rezip(
    etx: Path,
    change: Callable[[dict[str, bytes]], object] = lambda members: None,
    tweak: Callable[[zipfile.ZipInfo], object] = lambda info: None,
) -> None:
    with zipfile.ZipFile(etx) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(etx, "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            tweak(info)
            file.writestr(info, data)


def _patch(etx: Path, old: bytes, new: bytes, count: int = -1) -> None:
    data = etx.read_bytes()
    assert old in data
    etx.write_bytes(data.replace(old, new, count))


def _put(name: str, data: bytes = b"x") -> Callable[[Path], object]:
    return lambda etx: _rezip(etx, lambda members: members.update({name: data}))


def _twice(etx: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(etx, "a") as file:
        file.writestr("golden.json", b"{}")


def _compressed(etx: Path) -> None:
    _rezip(
        etx, lambda m: m.update({"bomb": bytes(10**6)}), lambda i: setattr(i, "compress_type", 8)
    )


def _linked(etx: Path) -> None:
    _rezip(etx, tweak=lambda i: setattr(i, "external_attr", (stat.S_IFLNK | 0o777) << 16))


def _encrypted(etx: Path) -> None:
    # Bit 0 of the flags, in local headers and in the directory.
    _patch(etx, b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
    _patch(etx, b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")


def _overlapping(etx: Path) -> None:
    """Points the last member at the first one's bytes."""
    data = bytearray(etx.read_bytes())
    last = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, last + 42, 0)
    etx.write_bytes(data)


def _gap(etx: Path) -> None:
    """Hides bytes between the members and the directory, with the offsets put right."""
    data = bytearray(etx.read_bytes())
    start = struct.unpack_from("<L", data, len(data) - 6)[0]
    struct.pack_into("<L", data, len(data) - 6, start + 100)
    etx.write_bytes(data[:start] + bytes(100) + data[start:])


def _lying_size(etx: Path) -> None:
    """A member that says it has 3 GB."""
    data = bytearray(etx.read_bytes())
    last = data.rindex(b"PK\x01\x02")
    struct.pack_into("<LL", data, last + 20, 3 << 30, 3 << 30)
    etx.write_bytes(data)


def _crc(etx: Path) -> None:
    data = bytearray(etx.read_bytes())
    data[data.index(b'"schema"') + 1] ^= 1
    etx.write_bytes(data)


def _append(extra: bytes) -> Callable[[Path], object]:
    return lambda etx: etx.write_bytes(etx.read_bytes() + extra)


def _comment(etx: Path) -> None:
    with zipfile.ZipFile(etx, "a") as file:
        file.comment = b"hello"


def _manifest_size(etx: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["graphs"][0]["files"][0]["size"] += 1
        members["manifest.json"] = json.dumps(manifest).encode()

    _rezip(etx, change)


ATTACKS: list[tuple[str, Callable[[Path], object], type[BundleError], str]] = [
    ("absolute", _put("/tmp/evil"), BundleUnsafe, "unsafe name"),
    ("up", _put("../evil"), BundleUnsafe, "unsafe name"),
    ("deep up", _put("graphs/../../evil"), BundleUnsafe, "unsafe name"),
    ("drive", _put("C:evil"), BundleUnsafe, "unsafe name"),
    ("folder", _put("graphs/x/", b""), BundleUnsafe, "unsafe name"),
    ("unnamed", _put("extra.so"), BundleUnsafe, "does not name"),
    ("twice", _twice, BundleUnsafe, "one name"),
    ("link", _linked, BundleUnsafe, "is a link"),
    ("bomb", _compressed, BundleUnsafe, "compressed"),
    ("encrypted", _encrypted, BundleUnsafe, "encrypted"),
    ("overlap", _overlapping, BundleUnsafe, "overlaps"),
    ("gap", _gap, BundleUnsafe, "hidden"),
    ("prefix", lambda e: e.write_bytes(b"#!/bin/sh\n" + e.read_bytes()), BundleUnsafe, "hidden"),
    ("lying size", _lying_size, BundleUnsafe, "overlaps|hidden"),
    ("trailing", _append(b"trailing"), BundleCorrupt, "bad end record"),
    ("second archive", lambda e: _append(e.read_bytes())(e), BundleUnsafe, "hidden"),
    ("comment", _comment, BundleCorrupt, "bad end record"),
    ("wrong crc", _crc, BundleCorrupt, "CRC"),
    ("size", _manifest_size, BundleCorrupt, "the manifest says"),
    ("hash", lambda e: _patch(e, b"graph of", b"GRAPH OF"), BundleCorrupt, "model.onnx|CRC"),
    (
        "missing",
        lambda e: _rezip(e, lambda m: m.pop("golden.json")),
        BundleCorrupt,
        "golden.json is missing",
    ),
    (
        "not first",
        lambda e: _rezip(e, lambda m: m.update({"manifest.json": m.pop("manifest.json")})),
        BundleCorrupt,
        "first member is not manifest",
    ),
    ("empty zip", lambda e: zipfile.ZipFile(e, "w").close(), BundleCorrupt, "first member"),
    ("empty", lambda e: e.write_bytes(b""), BundleCorrupt, "too short"),
    ("text", lambda e: e.write_text("x" * 100), BundleCorrupt, "bad end record"),
]


@pytest.mark.parametrize(
    ("attack", "error", "message"), [row[1:] for row in ATTACKS], ids=[row[0] for row in ATTACKS]
)
def test_attacks(
    etx: Path,
    own_cache: Path,
    attack: Callable[[Path], object],
    error: type[BundleError],
    message: str,
) -> None:
    attack(etx)
    with pytest.raises(error, match=message) as caught:
        Bundle.open(etx)
    assert "\n" not in str(caught.value)
    assert not own_cache.exists() or not any(own_cache.iterdir())


def test_a_wrong_hash_with_a_right_crc_is_found(etx: Path) -> None:
    weights = "graphs/onnx-fp32/data/weights.bin"
    _rezip(etx, lambda members: members.update({weights: b"wrongly"}))
    with pytest.raises(BundleCorrupt, match="sha256"):
        Bundle.open(etx)


def test_zip64_members_can_be_read(etx: Path) -> None:
    with zipfile.ZipFile(etx) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(etx, "w") as file:
        for name, data in members.items():
            with file.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(data)
    Bundle.open(etx).check()


def _opens_or_says_why(etx: Path, data: bytes) -> None:
    etx.write_bytes(data)
    try:
        Bundle.open(etx)
    except BundleError as exc:
        assert "\n" not in str(exc)


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4))
def test_fuzz_flipped_bytes(etx: Path, tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    data = bytearray(etx.read_bytes())
    for place, change in edits:
        data[place % len(data)] ^= change
    _opens_or_says_why(tmp_path / "fuzz.etx", bytes(data))


@FUZZ
@given(place=st.integers(0, 2000), value=st.binary(min_size=1, max_size=8))
def test_fuzz_the_directory(etx: Path, tmp_path: Path, place: int, value: bytes) -> None:
    data = bytearray(etx.read_bytes())
    start = data.index(b"PK\x01\x02")
    at = start + place % (len(data) - start)
    data[at : at + len(value)] = value
    _opens_or_says_why(tmp_path / "fuzz.etx", bytes(data))


@FUZZ
@given(share=st.floats(0, 1), extra=st.binary(max_size=30))
def test_fuzz_truncation(etx: Path, tmp_path: Path, share: float, extra: bytes) -> None:
    data = etx.read_bytes()
    _opens_or_says_why(tmp_path / "fuzz.etx", data[: int(share * len(data))] + extra)


@settings(parent=FUZZ, max_examples=50)
@given(data=st.binary(max_size=200))
def test_fuzz_arbitrary_bytes(tmp_path: Path, data: bytes) -> None:
    _opens_or_says_why(tmp_path / "fuzz.etx", data)
    _opens_or_says_why(tmp_path / "fuzz.etx", data + b"PK\x05\x06" + bytes(18))


def test_a_member_that_gives_more_than_it_promised_is_stopped(
    etx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = zipfile.ZipFile.open

    def endless(self: zipfile.ZipFile, name: object, *args: object) -> object:
        if name == "golden.json":
            return io.BytesIO(bytes(10**7))
        return original(self, name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(zipfile.ZipFile, "open", endless)
    with pytest.raises(BundleUnsafe, match="larger than the manifest says"):
        Bundle.open(etx)
