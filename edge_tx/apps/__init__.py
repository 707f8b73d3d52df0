"""Example apps, copied with a user's bundle in them: ``edge-tx init-app``.

The apps live in ``examples/``; the folders here are links to them, and copies in a wheel.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx import swap
from edge_tx.backends import resolve
from edge_tx.errors import BundleError, InvalidConfig, UnknownName

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph

__all__ = ["KINDS", "App", "Kind", "find", "init"]

_BUILT = (
    *("node_modules", "dist", "build", "model", "Model", "Pods", ".gradle", ".build"),
    *("__pycache__", "*.pyc"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of apps.

    Attributes:
        name: What users write; also its folder here.
        title: What it is.
        backend: Whose graph it runs.
        model: Where the bundle goes, relative to the app.
        steps: Command lines that build and start it.
        text_in: Kind of string-in graph it takes in place of a bundle; empty for a bundle.
        small: Whether it takes the smallest graph where none is named, and not the first.
    """

    name: str
    title: str
    backend: str
    model: str
    steps: tuple[str, ...]
    text_in: str = ""
    small: bool = False


_ROWS = (
    Kind(
        name="node",
        title="Node.js program",
        backend="onnx",
        model="model",
        steps=("npm ci --ignore-scripts", 'node answer.mjs model "some text"'),
    ),
    Kind(
        name="browser",
        title="offline web app",
        backend="onnx",
        model="model",
        steps=("npm ci --ignore-scripts", "npm run build", "npm start"),
        small=True,
    ),
    Kind(
        name="cpp",
        title="C++ program",
        backend="openvino",
        model="model",
        steps=("cmake -S . -B build", "cmake --build build", "build/answer_openvino model"),
        text_in="openvino",
    ),
    Kind(
        name="android",
        title="Android app (not built where it was written)",
        backend="tflite",
        model="app/src/main/assets/model",
        steps=("gradle wrapper --gradle-version 8.11.1", "./gradlew installLitertDebug"),
        text_in="mediapipe",
    ),
    Kind(
        name="ios",
        title="iOS app (not built where it was written)",
        backend="tflite",
        model="App/Model",
        steps=("cd App", "xcodegen", "pod install", "open Example.xcworkspace"),
        text_in="mediapipe",
    ),
)

KINDS: Mapping[str, Kind] = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class App:
    """What was written.

    Attributes:
        kind: What it is.
        folder: Where.
        graph: Name of the bundle's graph that is in it.
        size: Bytes of all its files.
    """

    kind: Kind
    folder: Path
    graph: str
    size: int


def find(name: str) -> Kind:
    """Looks an app up.

    Raises:
        UnknownName: There is none of that name.
    """
    if name not in KINDS:
        raise UnknownName("app", name, KINDS)
    return KINDS[name]


def init(kind: str, bundle: Bundle, dest: str | os.PathLike[str], graph: str | None = None) -> App:
    """Copies an app with one graph of a bundle in it, ready to be built.

    Args:
        kind: A name of :data:`KINDS`.
        bundle: An open bundle.
        dest: A folder that does not exist or is empty.
        graph: Name of the graph; if None the first of the app's backend, or the smallest where
            memory is dear (a browser).

    Raises:
        UnknownName: No such app, or the bundle has no graph for it.
        InvalidConfig: Something is at ``dest``, or the graph is of another backend.
        ParityFailed: The string-in graph that the app takes gives other answers.
        MissingDependency: What makes it is not installed.
        BundleError: The bundle is damaged, or the place cannot be written.
    """
    row = find(kind)
    chosen = _default(row, bundle) if graph is None else bundle.graph(graph)
    if chosen.backend != row.backend:
        raise InvalidConfig(
            f"the {row.name} app runs graphs of {row.backend}, and {chosen.name} is of "
            f"{chosen.backend}"
        )
    target = _destination(dest)
    with swap.io_errors(f"write {dest}"), swap.work_folder(target) as work:
        new = work / "app"
        shutil.copytree(_template(row), new, ignore=shutil.ignore_patterns(*_BUILT))
        _put_model(row, bundle, chosen.name, new / row.model)
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        swap.sync_tree(new)
        swap.publish(new, target, work)
    return App(row, target, chosen.name, size)


def _default(row: Kind, bundle: Bundle) -> Graph:
    graphs = bundle.graphs_of(row.backend)
    # Of as many megabytes the first counts, as in the app itself.
    return min(graphs, key=_megabytes) if row.small else graphs[0]


def _megabytes(graph: Graph) -> int:
    return round(sum(record.size for record in graph.files) / 1e6)


def _destination(dest: str | os.PathLike[str]) -> Path:
    path = Path(os.path.realpath(dest))
    if path.is_dir() and not any(path.iterdir()):
        return path
    if os.path.lexists(path):
        raise InvalidConfig(f"{dest} is there already: an app is written into a new folder")
    return path


def _template(row: Kind) -> Path:
    folder = Path(__file__).with_name(row.name)
    if not folder.is_dir():  # an archive or a checkout that has lost its links
        raise BundleError(f"the {row.name} app is not part of this installation: install edge_tx")
    return folder


def _put_model(row: Kind, bundle: Bundle, graph: str, dest: Path) -> None:
    shutil.rmtree(dest, ignore_errors=True)  # an example may hold a place for it
    if row.text_in:
        resolve("edge_tx.exporters.text_in:pack")(bundle, dest, row.text_in, graph=graph)
        return
    from edge_tx.bundle_writer import BundleWriter

    with BundleWriter(dest) as writer:
        writer.adopt(bundle)
        for other in bundle.graphs:
            if other.name != graph:
                writer.drop_graph(other.name)
        writer.commit_like(bundle, created=bundle.manifest.created).close()
