"""The export flow: checkpoint, graphs, parity gate, golden answers, bundle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from edge_tx import tasks
from edge_tx.backends import Backend, SessionConfig, find, open_session, resolve
from edge_tx.bundle import BundleWriter
from edge_tx.device import usable_threads
from edge_tx.errors import InvalidConfig, InvalidInput, MissingDependency
from edge_tx.exporters import texts as shipped
from edge_tx.exporters.parity import Budget, check, measure
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx.golden import Golden, record
from edge_tx.text import Tokenizer

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Parity

__all__ = ["Progress", "export"]

_GOLDEN_CASES = 12


class Progress(Protocol):
    """Told what begins, so that a user can be."""

    def __call__(self, step: str, done: int, total: int, /) -> None:
        """A step begins.

        Args:
            step: What is done, in words: ``"loading"``, ``"exporting onnx"``.
            done: Steps that are finished.
            total: Steps in all; after the last one this is called once with ``done == total``.
        """


def export(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    to: Sequence[str] = ("onnx",),
    route: str = "",
    max_length: int | None = None,
    texts: Sequence[Any] | str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    revision: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Exports a checkpoint to a bundle whose every graph was held against fp32 torch.

    Args:
        model: A local folder, or the id of a hub repository.
        output: Where the bundle goes: a folder, or a file in ``.etx``. A bundle there is
            replaced, once all is well.
        task: Name of the task; inferred if not given.
        to: Names of backends.
        route: How the graph is made; the exporter's own table decides if empty.
        max_length: Most tokens in a row; the checkpoint's own limit if not given.
        texts: Your own inputs for the parity gate, or a file of them: ``.jsonl`` with one
            JSON value per line (a text, or a pair as a list), else one text per line. By
            default, a multilingual set that the package ships.
        budget: How far off a graph may be.
        revision: Branch, tag or commit of a hub repository.
        progress: Told what begins.

    Returns:
        The bundle, open.

    Raises:
        UnknownName: No such backend, task or route.
        InvalidConfig: An option makes no sense, or ``output`` is something other than a bundle.
        InvalidInput: A text of ``texts`` is not what the task takes.
        MissingDependency: A package is not installed.
        UnsupportedModel: The checkpoint cannot be exported.
        ExportFailed: A vendor's exporter failed.
        ParityFailed: A graph is over its budget. Nothing was written.
        BundleError: The bundle cannot be written.
    """
    options = ExportOptions(route=route)
    targets = _targets(to, options)
    task = tasks.find(task).name if task else None
    own_texts = _own_texts(texts)
    say = _steps(progress, total=2 * len(targets) + 3)

    with BundleWriter(output) as writer:  # first, as it finds out whether it may write there
        from edge_tx.exporters import source

        say("loading the checkpoint")
        traced = source.load(os.fspath(model), task=task, revision=revision, max_length=max_length)
        gate = _Gate(traced, own_texts, budget or Budget())
        for row in targets:
            name = f"{row.name}-{options.precision}"
            say(f"exporting to {row.title}")
            made = _exporter(row)(traced, writer.graph_folder(name), options)
            say(f"checking {name}")
            parity, specs = gate.passes(row, name, made)
            writer.add_graph(
                name=name,
                backend=row.name,
                precision=made.precision,
                entry=made.entry,
                inputs=specs[0],
                outputs=specs[1],
                parity=parity,
                route=made.route,
                tools=made.tools,
            )
        say("recording golden answers")
        golden = gate.golden()
        say("writing the bundle")
        bundle = writer.commit(
            task=traced.task,
            source=traced.source,
            settings=traced.settings,
            tokenizer=traced.policy,
            tokenizer_json=traced.tokenizer_json,
            golden=golden,
        )
    say("done")
    return bundle


class _Gate:
    """What graphs of one checkpoint are held against, and what it remembers of it."""

    def __init__(self, traced: Traced, own_texts: Sequence[Any] | None, budget: Budget) -> None:
        self._traced = traced
        self._budget = budget
        self._task = tasks.create(traced.task, traced.settings)
        self._tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
        self._options = shipped.options_for(traced.task)
        self._inputs = own_texts or shipped.inputs_for(traced.task, self._tokenizer)

    def passes(self, row: Backend, name: str, made: Exported) -> tuple[Parity, tuple[Any, Any]]:
        """Parity of a graph, and its inputs and outputs as its runtime sees them."""
        session = open_session(row.name, made.entry, SessionConfig(threads=usable_threads()))
        try:
            measured = measure(
                self._traced, session, self._task, self._tokenizer, self._inputs, self._options
            )
            return check(measured, self._budget, name), (session.inputs, session.outputs)
        finally:
            session.close()

    def golden(self) -> Golden:
        """Answers of the reference, for inputs spread over all there are."""
        count = min(_GOLDEN_CASES, len(self._inputs))
        spread = [self._inputs[i * len(self._inputs) // count] for i in range(count)]
        run = self._traced.reference
        return Golden(
            tuple(
                record(value, self._options, tokenizer=self._tokenizer, task=self._task, run=run)
                for value in spread
            )
        )


def _targets(names: Sequence[str], options: ExportOptions) -> list[Backend]:
    """The backends, after all that can be checked before the slow part was checked."""
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise InvalidConfig("nothing to export to: name at least one backend")
    if len(set(names)) < len(names):
        raise InvalidConfig(f"a backend is named twice: {', '.join(names)}")
    rows = [find(name) for name in names]
    for row in rows:
        if not row.exporter:
            raise InvalidConfig(f"backend '{row.name}' has no exporter")
        if row.module is None:
            raise MissingDependency(row.modules[0], f"checking {row.name} graphs", row.install)
        check_options = resolve(f"{row.exporter.partition(':')[0]}:check_options")
        check_options(options)
    return rows


def _exporter(row: Backend) -> Callable[[Traced, Path, ExportOptions], Exported]:
    return cast("Callable[[Traced, Path, ExportOptions], Exported]", resolve(row.exporter))


def _own_texts(texts: Sequence[Any] | str | os.PathLike[str] | None) -> list[Any] | None:
    if texts is None:
        return None
    found = _read(Path(texts)) if isinstance(texts, (str, os.PathLike)) else list(texts)
    if not found:
        raise InvalidInput("there is no text to check the graph with: give at least one")
    return found


def _read(path: Path) -> list[Any]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise InvalidInput(f"cannot read texts from {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise InvalidInput(
            f"{path} is not UTF-8 (byte {exc.start}): convert it with iconv -t utf-8"
        ) from exc
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if path.suffix != ".jsonl":
        return [line for _, line in kept]
    return [_json(path, number, line) for number, line in kept]


def _json(path: Path, number: int, line: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise InvalidInput(f"{path}, line {number} is not JSON: {exc}") from exc
    return tuple(value) if isinstance(value, list) else value


def _steps(progress: Progress | None, total: int) -> Callable[[str], None]:
    done = -1

    def say(step: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(step, done, total)

    return say
