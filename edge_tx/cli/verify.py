"""``edge-tx verify``: hashes, and golden answers on this device."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.screen import Screen, grid, output_options
from edge_tx.errors import MissingDependency, ParityFailed

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.golden import Proof
    from edge_tx.manifest import Graph

_COLUMNS = ("graph", "verdict", "cases", "max error", "min cosine", "same answers")


@dataclass(frozen=True, slots=True)
class _Outcome:
    graph: str
    proof: Proof | None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.proof is None:
            return f"not run: {self.note}"
        return "ok" if self.proof.ok else "failed"

    def to_dict(self) -> dict[str, Any]:
        proof = None if self.proof is None else asdict(self.proof)
        return {"graph": self.graph, "verdict": self.verdict, "proof": proof}

    def row(self) -> tuple[object, ...]:
        if self.proof is None:
            return self.graph, self.verdict, "", "", "", ""
        p = self.proof
        numbers = f"{p.max_abs_error:.1e}", f"{p.min_cosine:.7f}", f"{p.agreement:.1%}"
        return self.graph, self.verdict, p.cases, *numbers


@click.command("verify")
@click.argument("bundle", type=click.Path())
@click.option("--device", default="auto", show_default=True, help="Device to run the graphs on.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@output_options
def command(bundle: str, device: str, threads: int, screen: Screen) -> None:
    """Check a bundle's hashes and its answers on this device.

    Every graph whose backend is installed answers the bundle's golden inputs, and the answers
    are held against the checkpoint's. Exits with 8 if a file is damaged, with 6 if an answer
    is wrong, and with 3 if no graph can run here.
    """
    from edge_tx.bundle import Bundle

    with Bundle.open(bundle) as opened, screen.stages() as progress:
        files, graphs = len(opened.files), opened.graphs
        progress(f"hashing {files} files")
        opened.check()
        outcomes = []
        for graph in graphs:
            progress(f"running {graph.name}")
            outcomes.append(_outcome(opened, graph, device, threads))
    screen.result(
        {"files": files, "graphs": [outcome.to_dict() for outcome in outcomes]},
        f"{files} files are as the manifest says",
        "",
        grid(_COLUMNS, [outcome.row() for outcome in outcomes], right="cases"),
    )
    _raise_if_bad(outcomes)


def _outcome(bundle: Bundle, graph: Graph, device: str, threads: int) -> _Outcome:
    from edge_tx import backends, golden, tasks

    row = backends.known().get(graph.backend)
    if row is None:
        return _Outcome(graph.name, None, f"backend '{graph.backend}' is unknown here")
    if row.module is None:
        return _Outcome(graph.name, None, row.install)
    config = backends.SessionConfig(device=device, threads=threads)
    session = backends.open_session(row.name, bundle.entry(graph), config)
    manifest = bundle.manifest
    try:
        task = tasks.create(manifest.task, manifest.settings)
        proof = golden.prove(bundle.golden(), graph, session, bundle.tokenizer(), task)
    finally:
        session.close()
    return _Outcome(graph.name, proof)


def _raise_if_bad(outcomes: list[_Outcome]) -> None:
    failed = [f"{o.graph}: {f}" for o in outcomes if o.proof for f in o.proof.failures]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ParityFailed(f"{failed[0]}{more}: do not use this bundle on this device")
    if all(outcome.proof is None for outcome in outcomes):
        notes = "; ".join(outcome.note for outcome in outcomes)
        raise MissingDependency("a backend", "verifying this bundle", notes)
