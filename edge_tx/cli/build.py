"""``edge-tx build``: a bundle's engines are made on the device that will run them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.screen import Screen, grid, human_bytes, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph
    from edge_tx.runtimes.tensorrt_engines import BuildOptions, Built

_COLUMNS = ("graph", "for", "engine", "size", "seconds", "golden answers")
_MIB = 1 << 20
_GENERATION = re.compile(r"(\d{1,2})\.?(\d)")


@click.command("build")
@click.argument("bundle", type=click.Path())
@click.option("--graph", help="Name of one graph; by default every one that must be built.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=backend_names,
    help="Only graphs of this backend; auto is every backend.",
)
@click.option(
    "--cache-dir",
    type=click.Path(),
    help="Folder for engines; in EDGE_TX_CACHE or the user's cache if not given.",
)
@click.option(
    "--workspace",
    type=click.IntRange(min=1),
    metavar="MIB",
    help="Most scratch memory of a layer, in MiB; all the GPU has if not given.",
)
@click.option(
    "--optimization-level",
    type=click.IntRange(0, 5),
    help="From 0, which builds soonest, to 5, which may run soonest.",
)
@click.option(
    "--compute-capability",
    "generations",
    multiple=True,
    metavar="X.Y,...",
    help="Build for these GPU generations, e.g. 8.6,8.9, without one here (TensorRT-RTX).",
)
@click.option("--force", is_flag=True, help="Build anew even if there is a good engine.")
@output_options
def command(
    bundle: str,
    graph: str | None,
    backend: str,
    cache_dir: str | None,
    workspace: int | None,
    optimization_level: int | None,
    generations: tuple[str, ...],
    force: bool,
    screen: Screen,
) -> None:
    """Build a bundle's engines for the GPU of this device.

    An engine fits one GPU and one release of TensorRT, so it is not in the bundle. It is built
    in a process of its own, held against the bundle's golden answers, and kept; the next build
    takes it if nothing has changed. Exits with 6 if its answers are wrong.
    """
    from edge_tx.backends import find, resolve
    from edge_tx.bundle import Bundle

    capabilities = tuple(_capability(word) for words in generations for word in words.split(","))
    options = _options(cache_dir, workspace, optimization_level, capabilities, force)
    with Bundle.open(bundle) as opened, screen.stages() as progress:
        engines: list[Built] = []
        for chosen in _graphs(opened, graph, backend):
            progress(f"building {chosen.name}")
            engines += resolve(find(chosen.backend).builder)(opened, chosen, options)
    for engine in engines:
        if engine.note:
            screen.remark(f"{engine.graph}: {engine.note}")
    record = {"engines": [_record(engine) for engine in engines]}
    screen.result(record, grid(_COLUMNS, [_row(e) for e in engines], right="size seconds"))


def _options(
    cache_dir: str | None,
    workspace: int | None,
    level: int | None,
    capabilities: tuple[int, ...],
    force: bool,
) -> BuildOptions:
    from pathlib import Path

    from edge_tx.runtimes.tensorrt_build import Settings
    from edge_tx.runtimes.tensorrt_engines import BuildOptions
    from edge_tx.runtimes.tensorrt_store import default_root

    return BuildOptions(
        settings=Settings(
            workspace_bytes=(workspace or 0) * _MIB,
            optimization_level=-1 if level is None else level,
        ),
        cache_dir=Path(cache_dir) if cache_dir else default_root(),
        compute_capabilities=capabilities,
        force=force,
    )


def _capability(word: str) -> int:
    """``"8.9"`` and ``"89"`` are 89."""
    match = _GENERATION.fullmatch(word.strip())
    if match is None:
        raise InvalidConfig(f"'{word.strip()}' is no compute capability: write e.g. 8.6,8.9,12.0")
    return 10 * int(match[1]) + int(match[2])


def _graphs(bundle: Bundle, name: str | None, backend: str) -> list[Graph]:
    """The graphs to build: the one that is named, or all that must be built here."""
    from edge_tx.backends import known

    rows = known()
    named = [bundle.graph(name)] if name is not None else bundle.graphs_of(backend)
    buildable = [g for g in named if g.backend in rows and rows[g.backend].builder]
    if not buildable:
        names = ", ".join(row.name for row in rows.values() if row.builder)
        what = ", ".join(graph.name for graph in named)
        raise InvalidConfig(f"nothing to build: {what} runs as it is (only {names} are built)")
    return buildable


def _record(engine: Built) -> dict[str, Any]:
    from edge_tx.strict_json import encode

    return {
        "graph": engine.graph,
        "path": str(engine.path),
        "reused": engine.reused,
        "note": engine.note,
        "record": encode(engine.record),
    }


def _row(engine: Built) -> tuple[object, ...]:
    record = engine.record
    proof = record.proof
    return (
        engine.graph,
        record.target.shown,
        "was there" if engine.reused else "built",
        human_bytes(record.size),
        f"{record.seconds:.1f}",
        f"{proof.cases} cases, largest error {proof.max_abs_error:.1e}" if proof else "not run",
    )
