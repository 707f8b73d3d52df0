"""``edge-tx pack``: a bundle's folder in one file, or a graph with its tokenizer inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.rendering import shortened
from edge_tx.cli.screen import Screen, facts, human_bytes, output_options
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.exporters.text_in import Packed


@click.command("pack")
@click.argument("bundle", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--text-in",
    "kind",
    metavar="KIND",
    help="Write a folder with a graph that takes text: openvino, onnx or mediapipe.",
)
@click.option("--graph", help="With --text-in, the graph to take; its backend's first if none.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="With --text-in mediapipe, tokens of the fixed shape; the graph's longest if none.",
)
@output_options
def command(
    bundle: str, out: str, kind: str | None, graph: str | None, length: int | None, screen: Screen
) -> None:
    """Pack a bundle's folder into one .etx file.

    Every verb takes the file in place of the folder. Packing twice gives the same bytes.

    With --text-in, write a folder instead: a graph with its tokenizer inside, for apps that have
    none. It must give the bundle's golden answers, or nothing is written.
    """
    from edge_tx.bundle import Bundle

    if kind is None and (graph or length):
        raise InvalidConfig("--graph and --length go with --text-in")
    with Bundle.open(bundle) as opened:
        if kind is not None:
            from edge_tx.exporters import text_in

            with screen.stages() as progress:
                progress(f"joining tokenizer and graph for {kind}")
                packed = text_in.pack(opened, out, kind, graph=graph, length=length or 0)
            screen.result(_record(packed), facts(_shown(packed)))
            return
        path = opened.pack(out)
    size = path.stat().st_size
    screen.result({"path": str(path), "bytes": size}, f"{path}  {human_bytes(size)}")


def _record(packed: Packed) -> dict[str, Any]:
    return {
        "path": str(packed.folder),
        "entry": str(packed.entry),
        "bytes": packed.size,
        "golden": packed.asked,
        "skipped": packed.skipped,
        "different": list(packed.different),
        "prepare": packed.prepare,
    }


def _shown(packed: Packed) -> dict[str, object]:
    skipped = f"; {packed.skipped} cannot be asked" if packed.skipped else ""
    read = (text if isinstance(text, str) else " | ".join(text) for text in packed.different)
    different = "\n".join(shortened(text, 60) for text in read)
    return {
        "entry": packed.entry,
        "size": human_bytes(packed.size),
        "proven": f"{packed.asked} golden texts{skipped}",
        "read otherwise": different or "no hard string",
        "prepare texts": packed.prepare,
    }
