from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import edge_tx.bundle
from edge_tx.bundle import Bundle, BundleWriter, stamp
from edge_tx.errors import (
    BundleCorrupt,
    BundleError,
    BundleTooNew,
    BundleUnsafe,
    InvalidConfig,
    UnknownName,
)
from edge_tx.manifest import FileRecord

Contents = Callable[[Path], Mapping[str, bytes]]
WriteBundle = Callable[..., Bundle]


def test_a_written_bundle_can_be_read(bundle: Bundle) -> None:
    opened = Bundle.open(bundle.root)
    assert opened.manifest == bundle.manifest
    assert opened.graph().name == opened.graph("onnx").name == opened.graph("onnx-fp32").name
    assert opened.entry(opened.graph()).read_bytes() == b"graph of onnx-fp32"
    assert opened.tokenizer().id_of("hello") == 2
    assert opened.golden().cases[0].input == "hello"
    assert opened.size == sum(f.size for f in opened.files)
    opened.check()
    assert "onnx-fp32" in repr(opened)


def test_an_unknown_graph_names_the_choices(bundle: Bundle) -> None:
    with pytest.raises(UnknownName, match="onnx-fp32"):
        bundle.graph("onnx-int8")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_is_found_when_its_file_is_used(bundle: Bundle) -> None:
    _flip(bundle.root / "graphs/onnx-fp32/data/weights.bin")
    _flip(bundle.root / "tokenizer.json")
    opened = Bundle.open(bundle.root)
    opened.prefetch(opened.files)
    with pytest.raises(BundleCorrupt, match=r"weights\.bin is damaged"):
        opened.entry(opened.graph())
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json is damaged"):
        opened.tokenizer()
    with pytest.raises(BundleCorrupt, match=r"(tokenizer|weights).*(tokenizer|weights)"):
        opened.check()


def test_a_file_is_hashed_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []

    def counting(path: Path) -> tuple[int, str]:
        hashed.append(path.name)
        data = path.read_bytes()
        return len(data), hashlib.sha256(data).hexdigest()

    monkeypatch.setattr(edge_tx.bundle, "hash_file", counting)
    opened = Bundle.open(bundle.root)
    assert not hashed
    opened.prefetch(opened.graph().files)
    graph = opened.graph()
    threads = [threading.Thread(target=opened.entry, args=(graph,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(hashed) == ["model.onnx", "weights.bin"]


def test_a_record_of_another_bundle_is_refused(bundle: Bundle) -> None:
    with pytest.raises(InvalidConfig, match="not a file of"):
        bundle.path(FileRecord("../../etc/passwd", 1, "0" * 64))


def _link_a_file(root: Path) -> None:
    target = root / "graphs/onnx-fp32/model.onnx"
    copy = root.parent / "elsewhere"
    target.rename(copy)
    target.symlink_to(copy)


def _link_a_folder(root: Path) -> None:
    (root / "graphs").rename(root.parent / "elsewhere")
    (root / "graphs").symlink_to(root.parent / "elsewhere")


def _link_the_manifest(root: Path) -> None:
    (root / "manifest.json").rename(root.parent / "elsewhere")
    (root / "manifest.json").symlink_to(root.parent / "elsewhere")


DAMAGE: list[tuple[str, Callable[[Path], object], type[BundleError], str]] = [
    ("link to a file", _link_a_file, BundleUnsafe, "model.onnx' is a link"),
    ("link to a folder", _link_a_folder, BundleUnsafe, "graphs' is a link"),
    ("linked manifest", _link_the_manifest, BundleUnsafe, "manifest.json is a link"),
    ("fifo", lambda r: os.mkfifo(r / "pipe"), BundleUnsafe, "pipe"),
    ("stray", lambda r: (r / "graphs/x.so").touch(), BundleUnsafe, "'graphs/x.so'"),
    ("stray folder", lambda r: (r / "__pycache__").mkdir(), BundleUnsafe, "'__pycache__'"),
    ("missing", lambda r: (r / "golden.json").unlink(), BundleCorrupt, "golden.json is missing"),
    (
        "short",
        lambda r: os.truncate(r / "graphs/onnx-fp32/data/weights.bin", 3),
        BundleCorrupt,
        "has 3 bytes, the manifest says 7",
    ),
    ("no manifest", lambda r: (r / "manifest.json").unlink(), BundleCorrupt, "not a bundle"),
    ("manifest", lambda r: os.truncate(r / "manifest.json", 50), BundleCorrupt, "not valid JSON"),
    (
        "newer",
        lambda r: (r / "manifest.json").write_text('{"schema": 2}'),
        BundleTooNew,
        "pip install -U",
    ),
]


@pytest.mark.parametrize(
    ("damage", "error", "message"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE]
)
def test_a_damaged_folder_is_not_opened(
    bundle: Bundle, damage: Callable[[Path], object], error: type[BundleError], message: str
) -> None:
    damage(bundle.root)
    with pytest.raises(error) as caught:
        Bundle.open(bundle.root)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.open(tmp_path / "nothing")


def test_a_bundle_may_be_reached_through_a_link(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle.root)
    assert Bundle.open(tmp_path / "current").manifest == bundle.manifest


def test_without_a_commit_nothing_changes(
    bundle: Bundle, tmp_path: Path, contents: Contents, adder: Callable[..., None]
) -> None:
    before = contents(tmp_path)
    with BundleWriter(bundle.root) as writer:
        adder(writer, "onnx-int8")
    with pytest.raises(ZeroDivisionError), BundleWriter(tmp_path / "new") as writer:
        adder(writer, "onnx-int8")
        1 / 0  # noqa: B018
    assert contents(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_is_replaced_and_nothing_is_left_over(
    tmp_path: Path, write_bundle: WriteBundle
) -> None:
    write_bundle(tmp_path / "bundle", graphs=("onnx-fp32", "onnx-int8"))
    bundle = write_bundle(tmp_path / "bundle", weights=b"new", graphs=("onnx-fp32",))
    bundle.check()
    assert (bundle.root / "graphs/onnx-fp32/data/weights.bin").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_the_same_content_gives_the_same_bytes(
    tmp_path: Path, write_bundle: WriteBundle, contents: Contents
) -> None:
    one, other = write_bundle(tmp_path / "one"), write_bundle(tmp_path / "other")
    assert contents(one.root) == contents(other.root)


def test_parents_are_made_and_an_empty_folder_is_used(
    tmp_path: Path, write_bundle: WriteBundle
) -> None:
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty").check()
    write_bundle(tmp_path / "a" / "b" / "c").check()


def _folder_with_notes(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def _web_app(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "app"}')


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("x", _folder_with_notes, "not a bundle"),
        ("x", _web_app, "manifest.json is not a bundle's"),
        ("x", lambda p: p.write_text("mine"), "is a file"),
        ("x.etx", lambda p: p.write_text("mine"), "not a packed bundle"),
        ("x.etx", lambda p: p.mkdir(), "is a folder"),
    ],
)
def test_nothing_but_a_bundle_is_replaced(
    tmp_path: Path, name: str, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(InvalidConfig, match=message):
        BundleWriter(tmp_path / name)


def test_a_bundle_with_files_of_the_user_is_not_replaced(bundle: Bundle) -> None:
    (bundle.root / "notes.txt").write_text("mine")
    with pytest.raises(InvalidConfig, match=r"notes\.txt"):
        BundleWriter(bundle.root)
    assert (bundle.root / "notes.txt").read_text() == "mine"


def test_what_cannot_be_read_back_is_not_written(
    tmp_path: Path, adder: Callable[..., None], committer: Callable[..., Bundle]
) -> None:
    with BundleWriter(tmp_path / "x") as writer:
        adder(writer, "onnx-fp32")
        with pytest.raises(BundleTooNew, match="mind-reading"):
            committer(writer, task="mind-reading")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "con", "a\0"])
def test_graph_names_are_folder_names(tmp_path: Path, name: str) -> None:
    with BundleWriter(tmp_path / "x") as writer, pytest.raises(InvalidConfig, match="graph name"):
        writer.graph_folder(name)


def test_links_in_a_graph_folder_are_refused(tmp_path: Path, adder: Callable[..., None]) -> None:
    with BundleWriter(tmp_path / "x") as writer:
        adder(writer, "onnx-fp32")
        folder = writer.graph_folder("onnx-fp32")
        (folder / "model.onnx").symlink_to("/etc/passwd")
        with pytest.raises(InvalidConfig, match="is a link"):
            writer.add_graph(
                name="onnx-fp32",
                backend="onnx",
                precision="fp32",
                entry=folder / "model.onnx",
                inputs=(),
                outputs=(),
                parity=None,  # type: ignore[arg-type]
            )


@pytest.mark.parametrize("suffix", ["", ".etx"])
def test_graphs_are_added_to_a_written_bundle(
    tmp_path: Path, write_bundle: WriteBundle, adder: Callable[..., None], suffix: str
) -> None:
    old = write_bundle(tmp_path / f"bundle{suffix}")
    with BundleWriter(old.origin) as writer:
        writer.adopt(old)
        adder(writer, "openvino-fp32")
        new = writer.commit_like(old)
    new.check()
    assert [g.name for g in new.graphs] == ["onnx-fp32", "openvino-fp32"]
    assert new.graphs[0] == old.graphs[0]
    assert new.manifest.stamp == old.manifest.stamp


@pytest.mark.parametrize("suffix", ["", ".etx"])
def test_two_that_add_to_one_bundle_lose_nothing(
    tmp_path: Path, write_bundle: WriteBundle, adder: Callable[..., None], suffix: str
) -> None:
    old = write_bundle(tmp_path / f"bundle{suffix}")
    with BundleWriter(old.origin) as one, BundleWriter(old.origin) as other:
        for writer, name in ((one, "openvino-fp32"), (other, "tflite-fp32")):
            writer.adopt(old)
            adder(writer, name)
        one.commit_like(old)
        with pytest.raises(BundleError, match="changed by another process"):
            other.commit_like(old)
    assert [g.name for g in Bundle.open(old.origin).graphs] == ["onnx-fp32", "openvino-fp32"]


def test_an_adopted_copy_shares_nothing_with_the_other_bundle(
    bundle: Bundle, tmp_path: Path
) -> None:
    with BundleWriter(tmp_path / "copy") as writer:
        writer.adopt(bundle)
        copy = writer.commit_like(bundle)
    _flip(copy.root / "graphs/onnx-fp32/model.onnx")
    bundle.check()


def test_a_damaged_bundle_is_not_adopted(bundle: Bundle) -> None:
    _flip(bundle.root / "graphs/onnx-fp32/model.onnx")
    with BundleWriter(bundle.root) as writer, pytest.raises(BundleCorrupt, match="damaged"):
        writer.adopt(Bundle.open(bundle.root))


def test_the_stamp_changes_with_what_changes_vectors_and_nothing_else(bundle: Bundle) -> None:
    m, json = bundle.manifest, bundle.tokenizer_json()
    base = stamp(m.task, m.source, m.settings, m.tokenizer, json)
    assert base == m.stamp
    assert base == stamp(m.task, replace(m.source, name="x"), m.settings, m.tokenizer, json)
    assert base == stamp(m.task, m.source, m.settings, replace(m.tokenizer, pad_id=3), json)
    others = [
        stamp("feature-extraction", m.source, m.settings, m.tokenizer, json),
        stamp(m.task, replace(m.source, sha256="cd" * 32), m.settings, m.tokenizer, json),
        stamp(m.task, replace(m.source, modules=("pooling:cls",)), m.settings, m.tokenizer, json),
        stamp(m.task, m.source, replace(m.settings, prompts={}), m.tokenizer, json),
        stamp(m.task, m.source, m.settings, replace(m.tokenizer, max_length=8), json),
        stamp(m.task, m.source, m.settings, m.tokenizer, json + " "),
    ]
    assert len({base, *others}) == len(others) + 1


def test_opening_imports_nothing_that_only_writing_needs(bundle: Bundle) -> None:
    code = (
        "import sys, numpy; base = set(sys.modules); import edge_tx.bundle as b;"
        "b.Bundle.open(sys.argv[1]).check();"
        "print(*sorted(set(sys.modules) - base))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(bundle.root)], capture_output=True, text=True, check=True
    )
    writing = {"ctypes", "edge_tx.archive", "edge_tx.bundle_writer", "rich", "tokenizers"}
    assert writing.isdisjoint(out.stdout.split())
