"""Writing what was kept: a bundle with the best graph, and the record of the front beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from edge_tx import swap
from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.manifest import Graph
from edge_tx.optimizing.outcome import Optimized
from edge_tx.optimizing.page import page
from edge_tx.strict_json import dumps

__all__ = ["deliver", "record_path"]


def record_path(output: Path) -> Path:
    """Where the record of the front goes."""
    return output.with_name(f"{output.name}.front.json")


def deliver(source: Bundle, graph: Graph, output: Path, done: Optimized) -> None:
    """Writes the bundle and then its records, JSON and HTML, each in one step.

    The bundle holds the best graph alone, so that it is what every device takes. Its numbers are
    those against the whole model, not those against the pruned one that its own gate saw.

    Args:
        source: Bundle of the branch that the best graph is in.
        graph: The best graph.
        output: Of the bundle.
        done: What came of the walk.

    Raises:
        InvalidConfig: Something that is not a bundle is at the output.
        BundleError: It cannot be written.
    """
    with BundleWriter(output) as writer:
        folder = writer.graph_folder(graph.name)
        entry = source.entry(graph)
        home = source.root / "graphs" / graph.name
        with swap.io_errors(f"write {output}"):
            shutil.copytree(home, folder, dirs_exist_ok=True)
        writer.add_graph(
            name=graph.name,
            backend=graph.backend,
            precision=graph.precision,
            entry=folder / entry.relative_to(home),
            inputs=graph.inputs,
            outputs=graph.outputs,
            parity=graph.parity,
            route=graph.route,
            recipe=graph.recipe,
            calibration=graph.calibration,
            metrics={**graph.metrics, **_metrics(done)},
            tools=graph.tools,
            checks={**graph.checks, "optimize": _told(done)},
        )
        writer.commit_like(source).close()
    _write(done.record, dumps(done.to_dict(), indent=2))
    _write(done.record.with_suffix(".html"), page(done).encode())


def _metrics(done: Optimized) -> Mapping[str, float]:
    scores = {done.metric: done.best.score, f"{done.metric}_fp32": done.whole.score}
    return {name: score for name, score in scores.items() if score is not None}


def _told(done: Optimized) -> str:
    aim, best = done.aim, done.best
    return (
        f"{best.kept:.0%} of the layers' operations; {aim.name} {aim.show(best.costs[aim.name])}, "
        f"{done.gain:.2f} times {aim.better} as {done.whole.graph} of the whole model"
    )


def _write(path: Path, data: bytes) -> None:
    with swap.io_errors(f"write {path}"), swap.work_folder(path) as work:
        new = work / "new"
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        swap.publish(new, path, work)
