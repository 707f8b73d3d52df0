"""Finds the graph of a bundle that is best on this device, and remembers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import edge_tx
from edge_tx import backends, tuning_store
from edge_tx.bench.cell import Cell
from edge_tx.bench.failures import Failed
from edge_tx.bench.inputs import last_text, texts_of, with_last
from edge_tx.bench.plan import Plan
from edge_tx.bench.process import in_fresh_process
from edge_tx.bench.runner import Progress
from edge_tx.bench.sweep import Axes
from edge_tx.bundle import Bundle
from edge_tx.device import usable_threads
from edge_tx.manifest import Graph
from edge_tx.runtimes.selection import Candidate, choose
from edge_tx.stats import throughput
from edge_tx.tuning import Goal, Measurement, Tuning, goal_of

__all__ = ["Tuned", "tune"]

# Characters of the long text, about 128 tokens of English.
_LONG = 600
# The list that throughput is measured on has at least this many inputs.
_LIST = 128
_TURNS = 2


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came out of tuning.

    Attributes:
        tuning: Every graph's numbers, as they are remembered.
        path: The record; None if no graph could be measured, as then nothing is remembered.
        graph: The graph that ``backend="auto"`` now takes; empty if none.
        reason: Why.
        candidates: All graphs, with what spoke against each.
    """

    tuning: Tuning
    path: Path | None = None
    graph: str = ""
    reason: str = ""
    candidates: tuple[Candidate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that :mod:`json` can write."""
        return asdict(self) | {"path": str(self.path) if self.path else None}


def tune(
    path: str | Path,
    goal: str | Goal = Goal.LATENCY,
    *,
    device: str = "auto",
    threads: int | None = None,
    min_accuracy: float | None = None,
    inputs: tuple[Any, ...] = (),
    options: Mapping[str, Any] | None = None,
    seconds: float = 1.0,
    progress: Progress | None = None,
) -> Tuned:
    """Measures every graph of a bundle that can run here, and remembers the numbers.

    Each graph is measured twice, in turns, in a fresh process with the same threads and texts:
    single calls with a short and with a long text, a list, and the peak of memory. The better
    number counts. From then on
    ``edge_tx.load(path)`` takes the best one on this device. A graph that fails is an entry that
    says so; the others go on.

    Args:
        path: A bundle: a folder or an ``.etx`` file.
        goal: ``"latency"`` (of single calls, short and long texts counting alike),
            ``"throughput"`` (of a list) or ``"memory"`` (at the peak).
        device: A device of the backends; ``"auto"`` for the first of each.
        threads: CPU threads; by default the physical cores that this process may use.
        min_accuracy: Graphs below are not chosen, now and by later loads that give no limit of
            their own; see :mod:`edge_tx.accuracy`.
        inputs: Inputs of the task, short and long ones; by default the bundle's golden ones.
        options: The task's options.
        seconds: Time to spend at least on each of the three kinds of call, each turn.
        progress: Called with what is measured next, how many graphs are done, and of how many.

    Raises:
        BundleError: The bundle cannot be opened.
        UnknownName: There is no such goal, or no backend has that device.
        InvalidConfig: A number makes no sense, or the cache folder cannot be written to.
        AccuracyGateFailed: All graphs that run are below ``min_accuracy``.
    """
    wanted = goal_of(goal)
    axes = Axes(() if threads is None else (threads,))
    plan = Plan(device=device, axes=axes, seconds=seconds, min_accuracy=min_accuracy)
    with Bundle.open(path) as bundle:
        # What cannot work is said before a minute of measuring.
        choose(bundle, device=device, min_accuracy=min_accuracy or 0.0)
        place = tuning_store.place_of(bundle, device)
        tuning_store.prepare(place)
        texts, settings = texts_of(bundle, inputs, dict(options or {}))
        cell = _cell(bundle, plan, texts, settings)
        tuning = Tuning(
            bundle=tuning_store.bundle_hash(bundle),
            machine=tuning_store.machine_for(bundle),
            device=device,
            threads=cell.threads,
            goal=wanted,
            min_accuracy=min_accuracy,
            graphs=tuple(_measured(bundle, cell, progress or _say_nothing)),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            edge_tx=edge_tx.__version__,
        )
        if all(m.problem for m in tuning.graphs):
            return Tuned(tuning)
        tuning_store.save(tuning, place)
        choice = choose(bundle, device=device, min_accuracy=min_accuracy)
    return Tuned(tuning, place, choice.graph.name, choice.reason, choice.candidates)


def _say_nothing(_name: str, _done: int, _total: int) -> None:
    pass


def _cell(bundle: Bundle, plan: Plan, texts: tuple[Any, ...], options: dict[str, Any]) -> Cell:
    ordered = sorted(texts, key=_characters)
    short, long = ordered[len(ordered) // 4], _long(ordered)
    mixed = (*texts, long)
    inputs = (short, *(mixed * -(-_LIST // len(mixed))))
    return Cell(
        bundle=str(bundle.root),
        graph="",
        device=plan.device,
        threads=next(iter(plan.axes.threads), usable_threads()),
        inputs=inputs,
        timed=1,
        list_inputs=len(inputs),
        options=options,
        min_ns=int(plan.seconds * 1e9),
        also=(long,),
    )


def _measured(bundle: Bundle, cell: Cell, progress: Progress) -> list[Measurement]:
    """Measures the graphs in turns, so that what else the machine does does not meet one alone."""
    graphs = bundle.graphs
    found: dict[str, Measurement] = {}
    for done, graph in enumerate(graphs * _TURNS):
        progress(graph.name, done, len(graphs) * _TURNS)
        before = found.get(graph.name)
        if before is None or not before.problem:
            now = _measure(graph, replace(cell, graph=graph.name))
            found[graph.name] = _better(before, now)
    progress("", len(graphs) * _TURNS, len(graphs) * _TURNS)
    return [found[graph.name] for graph in graphs]


def _better(before: Measurement | None, now: Measurement) -> Measurement:
    """The best of each number: what else runs only ever slows a graph."""
    if before is None or now.problem:
        return now

    def least(name: str) -> Any:
        values = (getattr(m, name) for m in (before, now))
        return min((v for v in values if v is not None), default=None)

    return replace(
        now,
        **{name: least(name) for name in ("short_ns", "long_ns", "peak_rss_bytes", "load_ns")},
        per_second=max(before.per_second or 0.0, now.per_second or 0.0),
    )


def _measure(graph: Graph, cell: Cell) -> Measurement:
    nothing = Measurement(graph.name, graph.backend)
    row = backends.known().get(graph.backend)
    if row is None or row.module is None:
        missing = row.install if row else f"no backend '{graph.backend}' is known here"
        return replace(nothing, problem=missing)
    if cell.device != "auto" and cell.device not in row.devices:
        return replace(nothing, problem=f"{row.name} has no device '{cell.device}'")
    answer = in_fresh_process(cell)
    if isinstance(answer, Failed):
        return replace(nothing, problem=answer.note)
    return replace(
        nothing,
        short_ns=round(median(answer.samples_ns)),
        long_ns=round(median(answer.also_ns[0])),
        per_second=throughput(answer.list_inputs, answer.list_ns),
        peak_rss_bytes=answer.memory.peak_bytes,
        load_ns=answer.load_ns,
    )


def _characters(value: Any) -> int:
    """Of all texts in an input."""
    if isinstance(value, str):
        return len(value)
    return sum(_characters(v) for v in _parts(value))


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, Sequence) else ()


def _long(ordered: Sequence[Any]) -> Any:
    """The longest input, its last text continued by those of the next ones to a good length."""
    longest = ordered[-1]
    texts = [text for text in map(last_text, reversed(ordered)) if text] or ["."]
    repeats = -(-_LONG // sum(map(len, texts)))
    joined = " ".join(texts * repeats)
    return with_last(longest, joined[: max(_LONG, len(texts[0]))])
