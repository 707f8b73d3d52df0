"""Writes bundles: into a work folder first, then swapped in as a whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, final

from edge_tx import archive, golden_json, manifest_json, swap
from edge_tx.bundle import Bundle
from edge_tx.bundle_folder import hash_file
from edge_tx.destination import destination
from edge_tx.errors import BundleError, InvalidConfig
from edge_tx.golden_json import Golden
from edge_tx.manifest import FileRecord, Graph, Manifest, Parity, Source, TaskSettings
from edge_tx.manifest_json import GOLDEN, MANIFEST, TOKENIZER
from edge_tx.policy import TokenizerPolicy
from edge_tx.specs import TensorSpec
from edge_tx.strict_json import dumps, encode

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BundleWriter", "stamp"]


@final
class BundleWriter:
    """Writes one bundle, a folder or (``dest`` ending in ``.etx``) a file.

    Nothing is at ``dest`` before :meth:`commit`, and after it the whole bundle is. Leaving the
    context without a commit, or with an error, leaves what was there::

        with BundleWriter("minilm.bundle") as writer:
            entry = export(traced, writer.graph_folder("onnx-fp32"))
            writer.add_graph(name="onnx-fp32", backend="onnx", entry=entry, ...)
            bundle = writer.commit(task=..., ...)

    Args:
        dest: A bundle there is replaced; an empty folder is used; anything else is refused.

    Raises:
        InvalidConfig: Something else is at ``dest``.
        BundleError: The place cannot be written.
    """

    def __init__(self, dest: str | os.PathLike[str]) -> None:
        self.dest = destination(dest)
        self._stack = contextlib.ExitStack()
        self._graphs: dict[str, Graph] = {}
        self._before: tuple[int, ...] = ()
        with swap.io_errors(f"write {self.dest}"):
            self._work = self._stack.enter_context(swap.work_folder(self.dest))
            self._root = self._work / "bundle"
            self._root.mkdir()

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BundleError(f"cannot write {self.dest}: {exc.strerror}") from exc

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs so far."""
        return tuple(self._graphs.values())

    def graph_folder(self, name: str) -> Path:
        """An empty folder to write a graph's files into.

        Raises:
            InvalidConfig: The name cannot be a folder's.
            BundleError: The folder cannot be made.
        """
        problem = "holds a slash" if "/" in name else manifest_json.path_problem(name)
        if problem:
            raise InvalidConfig(f"graph name {name!r} {problem}")
        folder = self._root / "graphs" / name
        with swap.io_errors(f"write {self.dest}"):
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        self._graphs.pop(name, None)
        return folder

    def scratch_folder(self) -> Path:
        """A new empty folder on the bundle's own disk that goes when the writer does.

        Raises:
            BundleError: It cannot be made.
        """
        with swap.io_errors(f"write {self.dest}"):
            return Path(tempfile.mkdtemp(prefix="scratch-", dir=self._work))

    def add_graph(
        self,
        *,
        name: str,
        backend: str,
        precision: str,
        entry: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        parity: Parity,
        route: str = "",
        recipe: str = "",
        calibration: str = "",
        metrics: Mapping[str, float] | None = None,
        tools: Mapping[str, str] | None = None,
        checks: Mapping[str, str] | None = None,
    ) -> Graph:
        """Records the files of a graph's folder, with their hashes.

        Args:
            name: As it was given to :meth:`graph_folder`.
            backend: Name of the backend that runs it.
            precision: ``"fp32"``, ``"fp16"``, ``"int8"``...
            entry: The file to open, in the folder.
            inputs: What it takes.
            outputs: What it returns.
            parity: Against the fp32 reference.
            route: How it was made.
            recipe: Name of the quantisation recipe.
            calibration: Hash of the calibration texts.
            metrics: Numbers of the accuracy gate by name.
            tools: Versions of the packages that made it.
            checks: What it was held to, and how that went.

        Raises:
            InvalidConfig: The folder holds links, or the entry is not in it.
            BundleError: A file cannot be read.
        """
        folder = self._root / "graphs" / name
        with swap.io_errors(f"write {self.dest}"):
            files = tuple(self._record(path) for path in _regular_files(folder))
        inside = Path(os.path.realpath(entry))
        if not inside.is_relative_to(folder) or not inside.is_file():
            raise InvalidConfig(f"the entry {entry} of graph {name!r} is not a file in {folder}")
        graph = Graph(
            name=name,
            backend=backend,
            precision=precision,
            entry=inside.relative_to(self._root).as_posix(),
            files=files,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            parity=parity,
            route=route,
            recipe=recipe,
            calibration=calibration,
            metrics=dict(metrics or {}),
            tools=dict(tools or {}),
            checks=dict(checks or {}),
        )
        self._graphs[name] = graph
        return graph

    def drop_graph(self, name: str) -> None:
        """Removes a graph's folder and all that is in it, and its record if there is one.

        Raises:
            BundleError: It cannot be removed.
        """
        with swap.io_errors(f"write {self.dest}"):
            shutil.rmtree(self.graph_folder(name))

    def adopt(self, bundle: Bundle) -> None:
        """Takes over all graphs of a bundle, verified; a graph added later replaces its namesake.

        With :meth:`commit_like` this adds graphs to a bundle that is already written.

        Raises:
            BundleCorrupt: A file of it is damaged.
            BundleError: A file cannot be copied.
        """
        # A link costs nothing, but only where the old files go: otherwise two bundles would
        # share them, and a change to one would damage the other.
        if bundle.origin == self.dest:
            self._before = _identity(self.dest)
        same = bundle.root == self.dest
        for graph in bundle.graphs:
            self.graph_folder(graph.name)
            for record in graph.files:
                target = self._root / record.path
                with swap.io_errors(f"write {self.dest}"):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _take(bundle.path(record), target, link=same)
            self._graphs[graph.name] = graph

    def commit(
        self,
        *,
        task: str,
        source: Source,
        settings: TaskSettings,
        tokenizer: TokenizerPolicy,
        tokenizer_json: str,
        golden: Golden,
        created: str | None = None,
    ) -> Bundle:
        """Puts the bundle at its destination, in one step, and opens it.

        Args:
            task: Name of the task.
            source: Where the weights came from.
            settings: What the task must know.
            tokenizer: How the tokenizer is used.
            tokenizer_json: Contents of ``tokenizer.json``.
            golden: The golden answers.
            created: UTC, ISO 8601; now if not given. With a fixed time, the same content
                gives the same bytes.

        Raises:
            BundleError: It cannot be written (the disk is full), or could not be read back.
        """
        import edge_tx

        with swap.io_errors(f"write {self.dest}"):
            manifest = Manifest(
                task=task,
                source=source,
                settings=settings,
                tokenizer=tokenizer,
                files=self._write_files(tokenizer_json, golden),
                graphs=self.graphs,
                stamp=stamp(task, source, settings, tokenizer, tokenizer_json),
                edge_tx=edge_tx.__version__,
                created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            (self._root / MANIFEST).write_bytes(manifest_json.write(manifest))
            self._publish(manifest)
        return Bundle.open(self.dest)

    def commit_like(self, bundle: Bundle, *, created: str | None = None) -> Bundle:
        """Commits with everything but the graphs as in another bundle.

        Raises:
            BundleError: As :meth:`commit`, or the other bundle is damaged.
        """
        manifest = bundle.manifest
        return self.commit(
            task=manifest.task,
            source=manifest.source,
            settings=manifest.settings,
            tokenizer=manifest.tokenizer,
            tokenizer_json=bundle.tokenizer_json(),
            golden=bundle.golden(),
            created=created,
        )

    def _write_files(self, tokenizer_json: str, answers: Golden) -> tuple[FileRecord, ...]:
        contents = {TOKENIZER: tokenizer_json.encode("utf-8"), GOLDEN: golden_json.write(answers)}
        for name, data in contents.items():
            (self._root / name).write_bytes(data)
        return tuple(self._record(self._root / name) for name in contents)

    def _record(self, path: Path) -> FileRecord:
        size, sha256 = hash_file(path)
        return FileRecord(path.relative_to(self._root).as_posix(), size, sha256)

    def _publish(self, manifest: Manifest) -> None:
        if self._before and _identity(self.dest) != self._before:
            raise BundleError(
                f"{self.dest} was changed by another process meanwhile, and is left as it is now: "
                "run this again"
            )
        new = self._root
        if archive.is_named(self.dest):
            new = self._work / "packed"
            archive.pack(self._root, manifest, new)
        else:
            swap.sync_tree(self._root)
        swap.publish(new, self.dest, self._work)


def stamp(
    task: str,
    source: Source,
    settings: TaskSettings,
    tokenizer: TokenizerPolicy,
    tokenizer_json: str,
) -> str:
    """Hashes what decides a model's vectors; how a graph was made or quantised is not in it.

    Returns:
        Hexadecimal sha256 over the weights, the config, the modules on top of them, the
        tokenizer, where long texts are cut, and the prompts.
    """
    decides = {
        "task": task,
        "weights": source.sha256,
        "config": source.config,
        "modules": source.modules,
        "tokenizer": hashlib.sha256(tokenizer_json.encode("utf-8")).hexdigest(),
        "max_length": tokenizer.max_length,
        "inputs": tokenizer.inputs,
        "truncation_side": tokenizer.truncation_side,
        "prompts": sorted(settings.prompts.items()),
        "default_prompt": settings.default_prompt,
    }
    return hashlib.sha256(dumps(encode(decides))).hexdigest()


def _identity(dest: Path) -> tuple[int, ...]:
    """Tells one state of a bundle from the next, each of which is written anew."""
    file = dest / MANIFEST if dest.is_dir() else dest
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _regular_files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in found:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise InvalidConfig(f"{path} is a link or not a file: write the file itself")
    return found


def _take(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target)
        except OSError:  # file systems without hard links
            link = False
    if not link:
        shutil.copyfile(source, target)
