"""``edge-tx init-app``: an example app with a bundle in it."""

from __future__ import annotations

import click

from edge_tx.cli.screen import Screen, facts, human_bytes, output_options


@click.command("init-app")
@click.argument("kind")
@click.argument("bundle", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="A new folder for the app.")
@click.option(
    "--graph",
    help="The graph to take; the first that the app can run if none, for browser the smallest.",
)
@output_options
def command(kind: str, bundle: str, output: str, graph: str | None, screen: Screen) -> None:
    """Copy an example app with a bundle in it, ready to be built and run.

    KIND is node (a Node.js program), browser (a web app that works offline), cpp, android or
    ios. The last three take a graph with its tokenizer inside, which is made on the way.
    """
    from edge_tx import apps
    from edge_tx.bundle import Bundle

    apps.find(kind)  # before anything is opened
    with Bundle.open(bundle) as opened, screen.stages() as progress:
        progress(f"copying the {kind} app")
        app = apps.init(kind, opened, output, graph)
    record = {
        "path": str(app.folder),
        "kind": app.kind.name,
        "graph": app.graph,
        "bytes": app.size,
        "steps": list(app.kind.steps),
    }
    rows = {
        app.kind.title: f"{app.folder} ({human_bytes(app.size)})",
        "graph": app.graph,
        "next": "\n".join((f"cd {output}", *app.kind.steps)),
    }
    screen.result(record, facts(rows))
