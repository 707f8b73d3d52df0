"""Which graph a batch job runs on, and in how many streams: chosen by a short measurement.

One session that spreads an operator over all threads, or one-thread sessions side by side: which
is faster depends on the processor, the graph and the lengths of the texts. Where a bundle has
several unquantised graphs, whose answers are the same within parity, they compete too. The choice
is made once for a job and kept in its journal, as rounding depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_tx.device import usable_threads
from edge_tx.errors import EdgeTxError
from edge_tx.runtimes.loading import load
from edge_tx.runtimes.scheduling import TOKEN_BUDGET
from edge_tx.runtimes.selection import choose
from edge_tx.tuning_store import recall

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.runtimes.model import Model

__all__ = ["Layout", "choose_layout", "open_layout"]

# Tokens of a trial: 16 batches, about a second for all-MiniLM-L6-v2 on two cores.
_TRIAL_TOKENS = 16 * TOKEN_BUDGET
_WARM_UP_TOKENS = 2 * TOKEN_BUDGET


@dataclass(frozen=True, slots=True)
class Layout:
    """How a job runs.

    Attributes:
        graph: Name of the graph.
        streams: Batches side by side.
        threads: CPU threads in all.
        runtime: Vendor's runtime and version.
        measured: Tokens per second of every layout that was tried, by ``"GRAPH x STREAMS"``;
            empty if nothing was measured.
    """

    graph: str
    streams: int
    threads: int
    runtime: str
    measured: Mapping[str, float]


def open_layout(bundle: Bundle, opening: Mapping[str, Any], layout: Layout) -> Model:
    """Opens a job's model as its layout says."""
    chosen = {"graph": layout.graph, "streams": layout.streams, "threads": layout.threads}
    return load(bundle.origin, **{**opening, "backend": "auto", **chosen})


def choose_layout(
    bundle: Bundle,
    opening: Mapping[str, Any],
    options: Mapping[str, Any],
    sample: Sequence[Any],
) -> tuple[Layout, Model]:
    """Settles the layout of a job.

    Args:
        bundle: The bundle.
        opening: Options of :func:`edge_tx.load`.
        options: The task's options.
        sample: Inputs to measure with, such as the job has; none to measure nothing.

    Returns:
        The layout, and the model open in it.

    Raises:
        EdgeTxError: No graph can be opened.
    """
    threads = opening.get("threads") or usable_threads()
    pairs = list(_candidates(bundle, opening, threads))
    if not sample or len(pairs) == 1:
        pairs, sample = pairs[:1], ()

    def trial(graph: str, streams: int) -> _Trial:
        model = open_layout(bundle, opening, Layout(graph, streams, threads, "", {}))
        return _Trial(graph, streams, _speed(model, options, sample) if sample else 0.0, model)

    best = trial(*pairs[0])
    measured = {best.name: best.speed} if sample else {}
    for pair in pairs[1:]:
        rival = trial(*pair)
        measured[rival.name] = rival.speed
        best, worse = (rival, best) if rival.speed > best.speed else (best, rival)
        worse.model.close()
    runtime = best.model.describe().placement.runtime
    return Layout(best.graph, best.streams, threads, runtime, measured), best.model


@dataclass(frozen=True, slots=True)
class _Trial:
    """A layout that was tried.

    Attributes:
        graph: Name of the graph.
        streams: Batches side by side.
        speed: Tokens per second; 0 if nothing was measured.
        model: Open in this layout.
    """

    graph: str
    streams: int
    speed: float
    model: Model

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.graph} x {self.streams}"


def _candidates(
    bundle: Bundle, opening: Mapping[str, Any], threads: int
) -> Iterator[tuple[str, int]]:
    """Graphs with streams, the likeliest first."""
    device = opening.get("device", "auto")
    given = opening.get("streams")
    # What runs on an accelerator is not laid out by CPU threads.
    widths = [given] if given else [threads, 1] if device in ("auto", "cpu") else [1]
    for graph in _graphs(bundle, opening):
        yield from ((graph, streams) for streams in dict.fromkeys(widths))


def _graphs(bundle: Bundle, opening: Mapping[str, Any]) -> list[str]:
    backend, graph = opening.get("backend", "auto"), opening.get("graph")
    device, limit = opening.get("device", "auto"), opening.get("min_accuracy")
    first = choose(bundle, backend, graph, device, limit).graph
    is_free = backend == "auto" and graph is None and not first.recipe
    if not is_free or recall(bundle, device).tuning is not None:
        return [first.name]
    rivals = (g for g in bundle.graphs if not g.recipe and g.precision == first.precision)
    names = [first.name]
    for rival in rivals:
        try:
            choose(bundle, "auto", rival.name, device, limit)
        except EdgeTxError:  # cannot run here, which is no reason not to take the first
            continue
        names.append(rival.name)
    return list(dict.fromkeys(names))


def _speed(model: Model, options: Mapping[str, Any], sample: Sequence[Any]) -> float:
    """Tokens per second."""
    conveyor = model.conveyor(**options)
    rows, _ = conveyor.encode(sample)
    total = sum(len(row.ids) for row in rows)
    # Evenly spread over the sample, so that the lengths are those of the job.
    trial = rows[:: max(1, total // _TRIAL_TOKENS)]
    warm_up = rows[:: max(1, total // _WARM_UP_TOKENS)]
    conveyor.start(warm_up, TOKEN_BUDGET).result()
    began = time.perf_counter()
    conveyor.start(trial, TOKEN_BUDGET).result()
    return round(sum(len(row.ids) for row in trial) / (time.perf_counter() - began), 1)
