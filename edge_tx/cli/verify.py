"""``edge-tx verify``: hashes, and golden answers on this device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.opening import nothing_runs, vendor_options
from edge_tx.cli.screen import Screen, grid, output_options
from edge_tx.cli.suggesting import backend_names
from edge_tx.errors import EdgeTxError, ParityFailed, SessionFailed

if TYPE_CHECKING:
    from rich.text import Text

    from edge_tx.backends import SessionConfig
    from edge_tx.bundle import Bundle
    from edge_tx.golden import Proof
    from edge_tx.manifest import Graph

_COLUMNS = ("graph", "verdict", "cases", "max error", "min cosine", "same answers")


@dataclass(frozen=True, slots=True)
class _Outcome:
    graph: str
    proof: Proof | None
    obstacle: EdgeTxError | None = None

    @property
    def failed(self) -> bool:
        return isinstance(self.obstacle, SessionFailed)

    @property
    def verdict(self) -> str:
        if self.proof is None:
            return "failed" if self.failed else "not run here"
        return "ok" if self.proof.ok else "failed"

    def to_dict(self) -> dict[str, Any]:
        proof = None if self.proof is None else asdict(self.proof)
        reason = "" if self.obstacle is None else str(self.obstacle)
        return {"graph": self.graph, "verdict": self.verdict, "proof": proof, "reason": reason}

    def row(self) -> tuple[object, ...]:
        if self.proof is None:
            return self.graph, self.verdict, "", "", "", ""
        p = self.proof
        numbers = f"{p.max_abs_error:.1e}", f"{p.min_cosine:.7f}", f"{p.agreement:.1%}"
        return self.graph, self.verdict, p.cases, *numbers


@click.command("verify")
@click.argument("bundle", type=click.Path())
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=backend_names,
    help="Only graphs of this backend; auto is every backend.",
)
@click.option("--device", default="auto", show_default=True, help="Device to run the graphs on.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@vendor_options
@output_options
def command(
    bundle: str,
    backend: str,
    device: str,
    threads: int,
    vendor: Mapping[str, str],
    screen: Screen,
) -> None:
    """Check a bundle's hashes and its answers on this device.

    Every graph that can run here answers the bundle's golden inputs, and the answers are held
    against the checkpoint's. One that cannot is shown as not run, with the reason. Exits with 8
    if a file is damaged, with 6 if an answer is wrong, and if no graph can run here with 3 (not
    installed), 13 (no such device) or 14 (not built).
    """
    from edge_tx import backends, vendors
    from edge_tx.bundle import Bundle

    with Bundle.open(bundle) as opened, screen.stages() as progress:
        files, graphs = len(opened.files), opened.graphs_of(backend)
        options = vendors.options_of(vendor, backend != "auto")
        config = backends.SessionConfig(device, threads, options=options)
        progress(f"hashing {files} files")
        opened.check()
        outcomes = []
        for graph in graphs:
            progress(f"running {graph.name}")
            outcomes.append(_outcome(opened, graph, config))
    screen.result(
        {"files": files, "graphs": [outcome.to_dict() for outcome in outcomes]},
        f"{files} files are as the manifest says",
        "",
        grid(_COLUMNS, [outcome.row() for outcome in outcomes], right="cases"),
        *_not_run(outcomes),
    )
    _raise_if_bad(outcomes)


def _not_run(outcomes: Sequence[_Outcome]) -> Iterator[str | Text]:
    """What is in the way of graphs, each reason once."""
    from rich.text import Text

    names: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.obstacle is not None and not outcome.failed:
            names.setdefault(str(outcome.obstacle), []).append(outcome.graph)
    for reason, graphs in names.items():
        yield ""
        yield Text(f"not run here: {', '.join(graphs)}: {reason}")


def _outcome(bundle: Bundle, graph: Graph, config: SessionConfig) -> _Outcome:
    from edge_tx import backends, golden, tasks, vendors

    entry = bundle.entry(graph)
    obstacle = vendors.obstacle(graph.backend, entry, config)
    if obstacle is not None:
        return _Outcome(graph.name, None, obstacle)
    manifest = bundle.manifest
    task = tasks.create(manifest.task, manifest.settings)
    try:
        with contextlib.closing(backends.open_session(graph.backend, entry, config)) as session:
            proof = golden.prove(bundle.golden(), graph, session, bundle.tokenizer(), task)
    except SessionFailed as exc:  # the others are told all the same
        return _Outcome(graph.name, None, exc)
    return _Outcome(graph.name, proof)


def _raise_if_bad(outcomes: list[_Outcome]) -> None:
    failed = [f"{o.graph}: {f}" for o in outcomes if o.proof for f in o.proof.failures]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ParityFailed(f"{failed[0]}{more}: do not use this bundle on this device")
    for outcome in outcomes:
        if outcome.failed:
            raise SessionFailed(f"{outcome.graph}: {outcome.obstacle}") from outcome.obstacle
    if all(outcome.proof is None for outcome in outcomes):
        raise nothing_runs([o.obstacle for o in outcomes if o.obstacle])
