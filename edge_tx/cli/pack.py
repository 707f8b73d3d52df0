"""``edge-tx pack``: a bundle's folder in one file."""

from __future__ import annotations

import click

from edge_tx.cli.screen import Screen, human_bytes, output_options


@click.command("pack")
@click.argument("bundle", type=click.Path())
@click.argument("out", type=click.Path())
@output_options
def command(bundle: str, out: str, screen: Screen) -> None:
    """Pack a bundle's folder into one .etx file.

    Every verb takes the file in place of the folder. Packing twice gives the same bytes.
    """
    from edge_tx.bundle import Bundle

    with Bundle.open(bundle) as opened:
        path = opened.pack(out)
    size = path.stat().st_size
    screen.result({"path": str(path), "bytes": size}, f"{path}  {human_bytes(size)}")
