"""``edge-tx inspect``: what a bundle holds and where it came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from edge_tx.cli.screen import Screen, facts, grid, human_bytes, output_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph

_COLUMNS = ("graph", "precision", "size", "max error", "agreement", "texts")


@click.command("inspect")
@click.argument("bundle", type=click.Path())
@output_options
def command(bundle: str, screen: Screen) -> None:
    """Show what a bundle holds and where it came from.

    Nothing is hashed or run: see edge-tx verify.
    """
    from edge_tx import manifest_json
    from edge_tx.bundle import Bundle

    with Bundle.open(bundle) as opened:
        record = json.loads(manifest_json.write(opened.manifest))
        screen.result(record, *_rendered(opened))


def _rendered(bundle: Bundle) -> list[RenderableType]:
    graphs = bundle.graphs
    return [
        facts(_facts(bundle)),
        "",
        grid(_COLUMNS, [_row(graph) for graph in graphs], right="size texts agreement"),
        *(part for graph in graphs for part in ("", _details(graph))),
    ]


def _facts(bundle: Bundle) -> dict[str, object]:
    manifest = bundle.manifest
    source, settings, policy = manifest.source, manifest.settings, manifest.tokenizer
    return {
        "bundle": f"{bundle.origin} ({human_bytes(bundle.size)})",
        "task": manifest.task,
        "model": source.name,
        "revision": source.revision,
        "architecture": f"{source.architecture} ({source.model_type})",
        "modules": " > ".join(source.modules),
        "parameters": f"{source.parameters:,}" if source.parameters else "",
        "weights sha256": source.sha256,
        "labels": _some(settings.labels),
        "problem type": settings.problem_type,
        "prompts": _some(tuple(settings.prompts)),
        "similarity": settings.similarity,
        "max length": f"{policy.max_length} tokens",
        "stamp": manifest.stamp,
        "written": f"{manifest.created} by edge_tx {manifest.edge_tx}",
    }


def _row(graph: Graph) -> tuple[object, ...]:
    parity = graph.parity
    error, agreement = f"{parity.max_abs_error:.1e}", f"{parity.agreement:.1%}"
    return graph.name, graph.precision, human_bytes(graph.size), error, agreement, parity.texts


def _details(graph: Graph) -> RenderableType:
    return facts(
        {
            "graph": graph.name,
            "inputs": "\n".join(map(str, graph.inputs)),
            "outputs": "\n".join(map(str, graph.outputs)),
            "route": graph.route,
            "recipe": graph.recipe,
            "checked": "\n".join(f"{name}: {how}" for name, how in graph.checks.items()),
            "made with": ", ".join(f"{name} {v}" for name, v in graph.tools.items()),
        }
    )


def _some(names: tuple[str, ...], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
