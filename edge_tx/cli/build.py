"""``edge-tx build``: a bundle's engines are made on the device that will run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.screen import Screen, grid, human_bytes, output_options
from edge_tx.errors import InvalidConfig, UnknownName

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph
    from edge_tx.runtimes.tensorrt_engines import BuildOptions, Built

_COLUMNS = ("graph", "for", "engine", "size", "seconds", "golden answers")
_MIB = 1 << 20


@click.command("build")
@click.argument("bundle", type=click.Path())
@click.option("--graph", help="Name of one graph; by default every one that must be built.")
@click.option(
    "--cache-dir",
    type=click.Path(),
    help="Folder for engines; EDGE_TX_CACHE_DIR or the user's cache if not given.",
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
    "capabilities",
    type=click.IntRange(min=50),
    multiple=True,
    help="Build for this GPU generation, e.g. 89, without one here (TensorRT-RTX); repeatable.",
)
@click.option("--force", is_flag=True, help="Build anew even if there is a good engine.")
@output_options
def command(
    bundle: str,
    graph: str | None,
    cache_dir: str | None,
    workspace: int | None,
    optimization_level: int | None,
    capabilities: tuple[int, ...],
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

    options = _options(cache_dir, workspace, optimization_level, capabilities, force)
    with Bundle.open(bundle) as opened, screen.stages() as progress:
        engines: list[Built] = []
        for chosen in _graphs(opened, graph):
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


def _graphs(bundle: Bundle, name: str | None) -> list[Graph]:
    """The graphs to build: the one that is named, or all that must be built here."""
    from edge_tx.backends import find, known

    buildable = [g for g in bundle.graphs if g.backend in known() and find(g.backend).builder]
    if name is not None:
        if name not in {g.name for g in bundle.graphs}:
            raise UnknownName("graph of this bundle", name, (g.name for g in bundle.graphs))
        buildable = [g for g in buildable if g.name == name]
    if not buildable:
        names = ", ".join(row.name for row in known().values() if row.builder)
        what = f"graph {name}" if name else "every graph of this bundle"
        raise InvalidConfig(f"{what} runs as it is, there is nothing to build (only {names})")
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
