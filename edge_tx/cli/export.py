"""``edge-tx export``: a checkpoint becomes a bundle."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edge_tx.cli.quantizing import Quantizing, quantizing_options
from edge_tx.cli.screen import Screen, facts, human_bytes, output_options
from edge_tx.cli.suggesting import backend_names, task_names

if TYPE_CHECKING:
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
@click.option(
    "--task", shell_complete=task_names, help="What the model is for; inferred if not given."
)
@click.option(
    "--to",
    multiple=True,
    default=("onnx",),
    show_default=True,
    shell_complete=backend_names,
    help="Backends, with commas between them or one after each --to.",
)
@click.option(
    "--route", default="", help="Way through the exporter; by default the best one known."
)
@click.option("--max-length", type=click.IntRange(min=1), help="Most tokens of one input.")
@click.option(
    "--texts",
    type=click.Path(),
    help="Prove the graph on this file, .jsonl or a text a line, not on the built-in texts.",
)
@click.option("--revision", help="Commit, tag or branch, where MODEL is a hub id.")
@quantizing_options
@output_options
def command(
    model: str,
    output: str,
    task: str | None,
    to: tuple[str, ...],
    route: str,
    max_length: int | None,
    texts: str | None,
    revision: str | None,
    quantizing: Quantizing,
    screen: Screen,
) -> None:
    """Turn a checkpoint into a bundle, and prove the graph on real text.

    MODEL is a folder with config.json and safetensors weights, or a hub id. The graph's answers
    are compared with the checkpoint's own; outside the budget nothing is written.
    """
    from edge_tx.exporters.pipeline import export

    quantizing.check()
    with screen.stages() as progress:
        bundle = export(
            model,
            output,
            task=task,
            to=[name.strip() for names in to for name in names.split(",")],
            route=route,
            max_length=max_length,
            texts=texts,
            revision=revision,
            progress=progress,
        )
        added = quantizing.run(bundle, progress)
    bundle = added.bundle if added else bundle
    with bundle:
        record = {
            "bundle": str(bundle.origin),
            "task": bundle.manifest.task,
            "bytes": bundle.size,
            "graphs": [_record(graph) for graph in bundle.graphs],
        }
        shown = {
            "bundle": f"{output} ({human_bytes(bundle.size)})",
            "task": bundle.manifest.task,
        }
        for graph in bundle.graphs:
            shown |= _shown(graph)
    if added is None:
        screen.result(record, facts(shown))
        return
    from edge_tx.cli.quantize import raise_if_failed, rendered

    screen.result(record | {"quantized": added.to_dict()}, facts(shown), "", *rendered(added))
    raise_if_failed(added)


def _record(graph: Graph) -> dict[str, object]:
    return {
        "name": graph.name,
        "route": graph.route,
        "bytes": graph.size,
        "parity": asdict(graph.parity),
    }


def _shown(graph: Graph) -> dict[str, str]:
    parity = graph.parity
    return {
        graph.name: f"{human_bytes(graph.size)}, by {graph.route}\n"
        f"proven on {parity.texts} texts: largest error {parity.max_abs_error:.1e}, "
        f"smallest cosine {parity.min_cosine:.7f}, same answers {parity.agreement:.1%}"
    }
