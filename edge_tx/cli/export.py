"""``edge-tx export``: a checkpoint becomes a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.options import revision_option, task_option
from edge_tx.cli.quantizing import Quantizing, quantizing_options
from edge_tx.cli.screen import Screen, facts, human_bytes, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import FailedTarget, PartialExport

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph


@click.command("export")
@click.argument("model", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="The bundle: a folder, or FILE.etx.",
)
@task_option
@click.option(
    "--to",
    multiple=True,
    default=("onnx",),
    show_default=True,
    shell_complete=backend_names,
    help="Backends, with commas between them; NAME:fp16 for one in a precision of its own.",
)
@click.option(
    "--precision",
    multiple=True,
    help="Precisions, with commas between them; each backend takes those it has.  [default: fp32]",
)
@click.option(
    "--buckets",
    default="",
    metavar="ROWSxTOKENS,...|auto",
    help="Shapes to expect, e.g. 1x32,8x128; auto chooses by the lengths of --texts.",
)
@click.option(
    "--route", default="", help="Way through the exporter; by default the best one known."
)
@click.option("--opset", type=click.IntRange(min=1), default=None, help="Of the ONNX graphs.")
@click.option("--max-length", type=click.IntRange(min=1), help="Most tokens of one input.")
@click.option(
    "--texts",
    type=click.Path(),
    help="Prove the graphs on this file, .jsonl or a text a line, not on the built-in texts.",
)
@revision_option
@quantizing_options
@output_options
def command(
    model: str,
    output: str,
    opset: int | None,
    quantizing: Quantizing,
    screen: Screen,
    **options: Any,
) -> None:
    """Turn a checkpoint into a bundle, and prove its graphs on real text.

    MODEL is a folder with config.json and safetensors weights, or a hub id. Each graph's answers
    are compared with the checkpoint's own; one outside its budget is not written. Exits with 15
    if some graphs are written and others could not be made.
    """
    from edge_tx.exporters.pipeline import export

    quantizing.check()
    failed: PartialExport | None = None
    with screen.board() as progress:
        try:
            bundle = export(model, output, opset=opset or 0, progress=progress, **options)
        except PartialExport as exc:
            failed, bundle = exc, exc.bundle
    with screen.stages() as stages:
        added = quantizing.run(bundle, stages)
    failures = failed.failures if failed else ()
    with added.bundle if added else bundle as whole:
        record = _record(whole, failures)
        shown: list[RenderableType] = [facts(_shown(whole, output, failures))]
    if added:
        from edge_tx.cli.quantize import rendered

        record["quantized"] = added.to_dict()
        shown += ["", *rendered(added)]
    screen.result(record, *shown)
    if failed:
        raise failed
    if added:
        from edge_tx.cli.quantize import raise_if_failed

        raise_if_failed(added)


def _record(bundle: Bundle, failures: Sequence[FailedTarget]) -> dict[str, Any]:
    return {
        "bundle": str(bundle.origin),
        "task": bundle.manifest.task,
        "bytes": bundle.size,
        "graphs": [_graph_record(graph) for graph in bundle.graphs],
        "failures": [
            {"name": f.name, "error": type(f.error).__name__, "message": str(f.error)}
            for f in failures
        ],
    }


def _graph_record(graph: Graph) -> dict[str, Any]:
    from edge_tx.packaging import status

    return {
        "name": graph.name,
        "route": graph.route,
        "bytes": graph.size,
        "parity": asdict(graph.parity),
        "checks": dict(graph.checks),
        "status": status(graph),
    }


def _shown(bundle: Bundle, output: str, failures: Sequence[FailedTarget]) -> Mapping[str, str]:
    return {
        "bundle": f"{output} ({human_bytes(bundle.size)})",
        "task": bundle.manifest.task,
        **{graph.name: _graph_shown(graph) for graph in bundle.graphs},
        **{f.name: f"failed: {type(f.error).__name__}, see below" for f in failures},
    }


def _graph_shown(graph: Graph) -> str:
    from edge_tx.packaging import status

    parity = graph.parity
    where = f" in {graph.checks['parity']}" if "parity" in graph.checks else ""
    lines = (
        f"{human_bytes(graph.size)}, by {graph.route}",
        f"proven on {parity.texts} texts{where}: largest error "
        f"{parity.max_abs_error:.1e}, smallest cosine {parity.min_cosine:.7f}, same answers "
        f"{parity.agreement:.1%}",
        status(graph),
    )
    return "\n".join(filter(None, lines))
