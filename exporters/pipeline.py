"""The export flow: checkpoint, graphs, parity gate, golden answers, bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edge_tx import tasks
from edge_tx.backends import resolve
from edge_tx.bundle import BundleWriter
from edge_tx.errors import EdgeTxError, ExportFailed, FailedTarget, InvalidConfig, PartialExport
from edge_tx.exporters import own_texts
from edge_tx.exporters import targets as planning
from edge_tx.exporters.gate import Gate
from edge_tx.exporters.parity import Budget
from edge_tx.exporters.progress import Board, Progress
from edge_tx.exporters.targets import Plan, Target
from edge_tx.exporters.traced import Exported, ExportOptions, Traced

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle

__all__ = ["export"]

_Exporter = Callable[[Traced, Path, ExportOptions], Exported]


def export(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    to: str | Sequence[str] = ("onnx",),
    precision: str | Sequence[str] = (),
    route: str = "",
    opset: int = 0,
    buckets: str | Sequence[tuple[int, int]] = (),
    max_length: int | None = None,
    texts: Sequence[Any] | str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    revision: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Exports a checkpoint to a bundle whose every graph was held against fp32 torch.

    Each graph is made by itself: what goes wrong with one is noted, and the others are made.

    Args:
        model: A local folder, or the id of a hub repository.
        output: Where the bundle goes: a folder, or a file in ``.etx``. A bundle there is
            replaced, once all is well.
        task: Name of the task; inferred if not given.
        to: Names of backends, each with a precision of its own if it is to have one:
            ``("onnx", "openvino:fp16")`` or ``"onnx,openvino:fp16"``.
        precision: Of the backends without one of their own; fp32 if not given. With several,
            each backend is exported in those of them that it has.
        route: How the graphs are made; the exporter's own table decides if empty.
        opset: Of ONNX graphs; 0 for the exporter's choice.
        buckets: Batches and lengths to expect, ``(batch, tokens)`` each or ``"1x32,8x64"``, for
            the exporters that ask (TFLite's fixed shapes, TensorRT's profiles). Rows are then
            cut at the longest, in every graph. ``"auto"`` chooses by the lengths of ``texts``,
            up to ``max_length``.
        max_length: Most tokens in a row; the checkpoint's own limit if not given.
        texts: Your own inputs for the parity gate, or a file of them: ``.jsonl`` with one
            JSON value per line (a text, or a pair as a list), else one text per line. By
            default, a multilingual set that the package ships.
        budget: How far off a graph may be; by default as its precision asks for
            (:data:`edge_tx.exporters.parity.BUDGETS`).
        revision: Branch, tag or commit of a hub repository.
        progress: Told what begins.

    Returns:
        The bundle, open, with every graph that was asked for.

    Raises:
        PartialExport: Some graphs are written; it holds the bundle and what failed.
        UnknownName: No such backend, precision, task or route.
        InvalidConfig: An option makes no sense, or ``output`` is something other than a bundle.
        InvalidInput: A text of ``texts`` is not what the task takes.
        MissingDependency: A package is not installed.
        UnsupportedModel: The checkpoint cannot be exported.
        ExportFailed: A vendor's exporter failed, or every target did. Nothing was written.
        ParityFailed: The only graph is over its budget. Nothing was written.
        BundleError: The bundle cannot be written.
    """
    plan = planning.plan(to, precision, route=route, opset=opset, buckets=buckets)
    if plan.by_lengths and texts is None:
        raise InvalidConfig("buckets 'auto' follow the lengths of your texts: give texts too")
    longest = plan.max_length(max_length)
    task = tasks.find(task).name if task else None
    mine = own_texts.read(texts)
    failures = list(plan.failures)
    if not plan.targets:
        raise _nothing_made(failures)
    board = Board(progress, [target.name for target in plan.targets], failures)

    with BundleWriter(output) as writer:  # first, as it finds out whether it may write there
        from edge_tx.exporters import source

        board.loading()
        traced = source.load(os.fspath(model), task=task, revision=revision, max_length=longest)
        gate = Gate(traced, mine, budget)
        failures += _make_all(plan, traced, gate, writer, board)
        if not writer.graphs:
            raise _nothing_made(failures)
        bundle = _write(traced, gate, writer, board)
    if failures:
        raise PartialExport(bundle, tuple(failures))
    return bundle


def _make_all(
    plan: Plan, traced: Traced, gate: Gate, writer: BundleWriter, board: Board
) -> list[FailedTarget]:
    """Makes what can be made; returns what could not."""
    failures = []
    for target in plan.targets:
        if plan.by_lengths and "buckets" in target.row.takes:
            target = replace(target, options=replace(target.options, lengths=gate.lengths))
        try:
            _make(target, traced, gate, writer, board)
            board.proven(target.name)
        except EdgeTxError as exc:
            writer.drop_graph(target.name)
            board.failed(target.name, exc)
            failures.append(FailedTarget(target.name, exc))
    return failures


def _make(target: Target, traced: Traced, gate: Gate, writer: BundleWriter, board: Board) -> None:
    board.exporting(target.name)
    exporter = cast(_Exporter, resolve(target.row.exporter))
    made = exporter(traced, writer.graph_folder(target.name), target.options)
    board.checking(target.name)
    verdict = gate.verdict(target, made)
    writer.add_graph(
        name=target.name,
        backend=target.row.name,
        precision=made.precision,
        entry=made.entry,
        inputs=verdict.inputs,
        outputs=verdict.outputs,
        parity=verdict.parity,
        route=made.route,
        tools=made.tools,
        checks=verdict.checks,
    )


def _write(traced: Traced, gate: Gate, writer: BundleWriter, board: Board) -> Bundle:
    board.recording()
    golden = gate.golden()
    board.writing()
    bundle = writer.commit(
        task=traced.task,
        source=traced.source,
        settings=traced.settings,
        tokenizer=traced.policy,
        tokenizer_json=traced.tokenizer_json,
        golden=golden,
    )
    board.over()
    return bundle


def _nothing_made(failures: Sequence[FailedTarget]) -> EdgeTxError:
    """The one error there is, or one that tells them all."""
    if len(failures) == 1:
        return failures[0].error
    told = "; ".join(f"{failed.name}: {failed.error}" for failed in failures)
    error = ExportFailed(f"no graph could be made, nothing was written: {told}")
    error.__cause__ = failures[0].error
    return error
