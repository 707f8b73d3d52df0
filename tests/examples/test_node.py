"""The Node.js app, built as a user would build it."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples

NpmApp = Callable[[str, Path], Path]


@pytest.mark.parametrize("name", ["embedding", "classifier"])
def test_it_conforms(
    name: str, bundles: dict[str, Path], npm_app: NpmApp, conforms: Callable[..., Any]
) -> None:
    app = npm_app("node", bundles[name])
    assert conforms(bundles[name], "node", app / "answer.mjs", app / "model")["cases"] > 5


def ask(app: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = ["node", "answer.mjs", *words]
    return subprocess.run(
        command, cwd=app, input=stdin, capture_output=True, text=True, check=False
    )


def test_bad_bundles_end_it_with_a_line(bundles: dict[str, Path], npm_app: NpmApp) -> None:
    app = npm_app("node", bundles["classifier"])
    graph = next((app / "model" / "graphs").rglob("*.onnx"))
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = ask(app, "model", "a text")
    assert done.returncode == 1
    assert "is damaged: its sha256" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    graph.write_bytes(whole)

    manifest = app / "model" / "manifest.json"
    record = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(record | {"schema": 99}), encoding="utf-8")
    done = ask(app, "model", "a text")
    assert done.returncode == 1
    assert "schema 99" in done.stderr
    manifest.unlink()
    assert "no bundle at model" in ask(app, "model", "a text").stderr


@pytest.fixture(scope="module")
def packed_app(
    bundles: dict[str, Path], npm_app: NpmApp, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The app, and a packed bundle beside it."""
    from edge_tx.bundle import Bundle

    file = tmp_path_factory.mktemp("packed") / "model.etx"
    with Bundle.open(bundles["classifier"]) as bundle:
        bundle.pack(file)
    return npm_app("node", bundles["classifier"]), file


def test_a_packed_bundle_conforms(
    packed_app: tuple[Path, Path], bundles: dict[str, Path], conforms: Callable[..., Any]
) -> None:
    app, file = packed_app
    assert conforms(bundles["classifier"], "node", app / "answer.mjs", file)["cases"] > 5


def test_a_graph_is_taken_by_name(packed_app: tuple[Path, Path]) -> None:
    app, file = packed_app
    assert ask(app, "--graph", "onnx-fp32", str(file), "a text").returncode == 0
    done = ask(app, "--graph", "nope", str(file), "a text")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no graph nope for onnx, only onnx-fp32" in done.stderr


def damaged(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def rezipped(
    file: Path,
    change: Callable[[dict[str, bytes]], object],
    compression: int = zipfile.ZIP_STORED,
) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def changed(members: dict[str, bytes], **values: Any) -> None:
    record = json.loads(members["manifest.json"]) | values
    members["manifest.json"] = json.dumps(record).encode()


def only_the_manifest(members: dict[str, bytes]) -> None:
    for name in set(members) - {"manifest.json"}:
        del members[name]


OUTSIDE = [{"path": "../secret", "size": 1, "sha256": "0" * 64}]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damaged, "is damaged: its sha256"),
        (cut_off, "is not a bundle, or is cut off"),
        (emptied, "is not a bundle, or is cut off"),
        (lambda f: rezipped(f, lambda m: changed(m, schema=99)), "schema 99"),
        (lambda f: rezipped(f, lambda m: changed(m, files=OUTSIDE)), "reaches outside"),
        (lambda f: rezipped(f, lambda m: m.update({"../x": b"x"})), "holds ../x, which"),
        (lambda f: rezipped(f, lambda m: m.pop("tokenizer.json")), "tokenizer.json has no bytes"),
        (lambda f: rezipped(f, dict.clear), "is not a bundle"),
        (
            lambda f: rezipped(f, lambda m: m.update({"manifest.json": m.pop("manifest.json")})),
            "does not begin with its manifest.json",
        ),
        (lambda f: rezipped(f, only_the_manifest, zipfile.ZIP_DEFLATED), "is compressed"),
    ],
    ids=[
        *("damaged", "cut-off", "empty-file", "newer", "outside", "more", "less", "no-member"),
        *("order", "compressed"),
    ],
)
def test_bad_packed_bundles_end_it_with_a_line(
    harm: Callable[[Path], Any], said: str, packed_app: tuple[Path, Path], tmp_path: Path
) -> None:
    app, whole = packed_app
    file = Path(shutil.copy(whole, tmp_path))
    harm(file)
    done = ask(app, str(file), "a text")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_texts_that_are_too_long_are_cut_and_told(
    bundles: dict[str, Path], npm_app: NpmApp
) -> None:
    app = npm_app("node", bundles["embedding"])
    done = ask(app, "model", "word " * 1000)
    assert done.returncode == 0
    assert "were cut off" in done.stderr
    done = ask(app, "model", stdin='{"text": 5}\nnot json\n{"text": "fine"}\n')
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert "error" in first
    assert "error" in second
    assert len(third["outputs"]["sentence_embedding"]) == 384
