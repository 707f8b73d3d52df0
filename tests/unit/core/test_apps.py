"""Apps are copied with one graph of a bundle, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_tx import apps
from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.errors import InvalidConfig, UnknownName

WriteBundle = Callable[..., Bundle]
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def bundle(write_bundle: WriteBundle, tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "some.bundle", graphs=("openvino-fp32", "onnx-fp32"))


@pytest.mark.parametrize("kind", [row.name for row in apps.KINDS.values() if not row.text_in])
def test_the_app_holds_a_bundle_of_the_one_graph(
    kind: str, bundle: Bundle, tmp_path: Path, write_bundle: WriteBundle
) -> None:
    row = apps.find(kind)
    if row.backend not in {graph.backend for graph in bundle.graphs}:
        bundle = write_bundle(tmp_path / "other.bundle", graphs=(f"{row.backend}-fp32",))
    app = apps.init(kind, bundle, tmp_path / "app")
    inside = Bundle.open(app.folder / row.model)
    inside.check()
    assert [graph.name for graph in inside.graphs] == [app.graph]
    assert inside.manifest.stamp == bundle.manifest.stamp
    assert (app.folder / "README.md").is_file()
    assert not [path for path in app.folder.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("kind", apps.KINDS)
def test_what_was_built_in_the_example_stays_there(
    kind: str, bundle: Bundle, tmp_path: Path
) -> None:
    row = apps.find(kind)
    if row.text_in or row.backend != "onnx":
        pytest.skip("its model is made by another backend")
    app = apps.init(kind, bundle, tmp_path / "app")
    assert not {"node_modules", "dist", "build"} & {path.name for path in app.folder.iterdir()}


@pytest.mark.parametrize("kind", apps.KINDS)
def test_every_app_is_an_example(kind: str) -> None:
    link = Path(apps.__file__).with_name(kind)
    assert link.resolve() == EXAMPLES / kind
    assert (link / "README.md").is_file()


def test_a_browser_gets_the_smallest_graph(write_bundle: WriteBundle, tmp_path: Path) -> None:
    large = write_bundle(tmp_path / "large.bundle", weights=bytes(2_000_000))
    [like] = large.graphs
    with BundleWriter(tmp_path / "both.bundle") as writer:
        writer.adopt(large)
        folder = writer.graph_folder("onnx-int8")
        (folder / "model.onnx").write_bytes(b"small")
        writer.add_graph(
            name="onnx-int8",
            backend="onnx",
            precision="int8",
            entry=folder / "model.onnx",
            inputs=like.inputs,
            outputs=like.outputs,
            parity=like.parity,
            route="made up",
            metrics={},
            tools={},
        )
        both = writer.commit_like(large, created=large.manifest.created)
    assert apps.init("browser", both, tmp_path / "browser").graph == "onnx-int8"
    assert apps.init("browser", both, tmp_path / "named", "onnx-fp32").graph == "onnx-fp32"
    assert apps.init("node", both, tmp_path / "node").graph == "onnx-fp32"


def test_unknown_apps_name_the_known(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'node'"):
        apps.init("nod", bundle, tmp_path / "app")


def test_nothing_is_replaced(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    apps.init("node", bundle, tmp_path / "app")  # an empty folder is taken
    with pytest.raises(InvalidConfig, match="is there already"):
        apps.init("node", bundle, tmp_path / "app")


def test_a_bundle_without_its_graph_is_refused(write_bundle: WriteBundle, tmp_path: Path) -> None:
    only = write_bundle(tmp_path / "only.bundle", graphs=("openvino-fp32",))
    with pytest.raises(UnknownName, match="backend in this bundle"):
        apps.init("node", only, tmp_path / "app")
    with pytest.raises(InvalidConfig, match="runs graphs of onnx"):
        apps.init("node", only, tmp_path / "app", graph="openvino-fp32")
    assert not (tmp_path / "app").exists()
