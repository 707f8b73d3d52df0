"""Which of a bundle's graphs to run on this device, and why.

**The order.** Graphs that were not quantised come before those that were; within both, backends
in the order of their table, and a backend's graphs in the bundle's order.

**The rule.** A graph stands if its backend is installed, has the device that was asked for and
is ready, and if its accuracy (:mod:`edge_tx.accuracy`) is not below the limit. Of those that
stand, ``"auto"`` takes the best one by what ``edge-tx tune`` measured on this device, or, where
nothing was measured, the first in the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_tx.backends import Backend, find, in_order
from edge_tx.bundle import Bundle
from edge_tx.errors import AccuracyGateFailed, InvalidConfig, MissingDependency, UnknownName
from edge_tx.light import dataclass
from edge_tx.manifest import Graph

if TYPE_CHECKING:
    from edge_tx.tuning import Tuning

__all__ = ["Candidate", "Choice", "check_limit", "choose", "too_inaccurate"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph that could have been chosen.

    Attributes:
        graph: Its name.
        verdict: ``"chosen"``, or why not.
    """

    graph: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A graph and the reason it was taken.

    Attributes:
        graph: The graph.
        reason: In words, for :meth:`edge_tx.Model.describe`.
        candidates: All graphs that came into question, with what spoke against them.
        warning: What is wrong with an earlier measurement; empty if nothing is.
    """

    graph: Graph
    reason: str
    candidates: tuple[Candidate, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A graph, what forbids it, and what speaks against it while there is another."""

    graph: Graph
    row: Backend | None
    refusal: str = ""
    doubt: str = ""


def choose(
    bundle: Bundle,
    backend: str = "auto",
    graph: str | None = None,
    device: str = "auto",
    min_accuracy: float | None = None,
) -> Choice:
    """Chooses a graph: the one that is named, else by the rule of this module.

    Args:
        bundle: The bundle.
        backend: Only graphs of this backend, the first in the order; ``"auto"`` for all.
        graph: Name of one graph.
        device: A device that its backend must have; ``"auto"`` for any.
        min_accuracy: Least accuracy, relative to fp32; None for no limit, or for the one that
            was remembered with a measurement.

    Raises:
        UnknownName: The bundle has no such graph, no graph of that backend, or none whose
            backend has that device.
        MissingDependency: None of the bundle's backends is installed.
        AccuracyGateFailed: The accuracy of every graph that could run is below the limit.
        InvalidConfig: The limit is not from 0 to 1.
    """
    check_limit(min_accuracy)
    from_all = backend == "auto" and graph is None
    entries = _refused(_asked_for(bundle, backend, graph), device)
    tuning, warning = None, ""
    if from_all and sum(not entry.refusal for entry in entries) > 1:
        from edge_tx.tuning_store import recall  # where there is something to choose

        remembered = recall(bundle, device)
        tuning, warning = remembered.tuning, remembered.warning
    if min_accuracy is None and tuning is not None:
        min_accuracy = tuning.min_accuracy
    entries = [_doubted(_held_to(e, bundle, min_accuracy), bundle, tuning) for e in entries]
    standing = [e for e in entries if not e.refusal]
    if not standing:
        raise _nothing(entries, device)
    chosen, reason = _best([e for e in standing if not e.doubt] or standing, tuning)
    if not from_all:
        first = f"first graph of backend '{backend}', which was asked for"
        reason = "asked for by name" if graph else first
    verdicts = (Candidate(e.graph.name, _verdict(e, chosen, tuning)) for e in entries)
    return Choice(chosen.graph, reason, tuple(verdicts), warning)


def check_limit(min_accuracy: float | None) -> None:
    """Checks what a user gives as the least accuracy.

    Raises:
        InvalidConfig: It is not from 0 to 1.
    """
    if min_accuracy is not None and not 0 <= min_accuracy <= 1:
        raise InvalidConfig(f"min_accuracy must be from 0 to 1 (fp32's), not {min_accuracy}")


def too_inaccurate(graph: Graph, graphs: Sequence[Graph], limit: float | None) -> str:
    """Says that a graph's accuracy is below a limit; empty if it is not."""
    if limit is None:
        return ""
    from edge_tx.accuracy import accuracy_of

    accuracy = accuracy_of(graph, graphs)
    if accuracy.value >= limit:
        return ""
    return f"accuracy {accuracy.value:.4f} is below {limit:g} ({accuracy.measure})"


def _asked_for(bundle: Bundle, backend: str, graph: str | None) -> list[_Entry]:
    """The graphs in question, in the order of this module."""
    graphs = bundle.graphs
    if graph is not None:
        named = [g for g in graphs if g.name == graph]
        if not named:
            raise UnknownName("graph", graph, (g.name for g in graphs))
        if backend not in ("auto", named[0].backend):
            raise UnknownName("backend of that graph", backend, (named[0].backend,))
        return _ordered(named)
    if backend != "auto":
        find(backend)
        mine = [g for g in graphs if g.backend == backend]
        if not mine:
            raise UnknownName("backend in this bundle", backend, {g.backend for g in graphs})
        return _ordered(mine)
    return _ordered(graphs)


def _ordered(graphs: Sequence[Graph]) -> list[_Entry]:
    rows = in_order({g.backend for g in graphs})
    names = [row.name for row in rows]
    entries = [
        _Entry(g, rows[names.index(g.backend)] if g.backend in names else None) for g in graphs
    ]

    def place(entry: _Entry) -> tuple[bool, int]:
        position = names.index(entry.row.name) if entry.row else len(names)
        return bool(entry.graph.recipe), position

    return sorted(entries, key=place)


def _refused(entries: Sequence[_Entry], device: str) -> list[_Entry]:
    return [replace(entry, refusal=_refusal(entry.row, device)) for entry in entries]


def _refusal(row: Backend | None, device: str) -> str:
    if row is None:
        return "its backend is not known here: install the plug-in"
    if device != "auto" and device not in row.devices:
        return f"{row.name} has no device '{device}'"
    if row.module is None:
        return f"{row.name} is not installed: {row.install}"
    return ""


def _held_to(entry: _Entry, bundle: Bundle, limit: float | None) -> _Entry:
    refusal = entry.refusal or too_inaccurate(entry.graph, bundle.graphs, limit)
    return replace(entry, refusal=refusal)


def _doubted(entry: _Entry, bundle: Bundle, tuning: Tuning | None) -> _Entry:
    """Notes what may fail here; it is taken only where there is nothing else."""
    measured = [m for m in tuning.graphs if m.graph == entry.graph.name] if tuning else []
    if measured and measured[0].problem:
        return replace(entry, doubt=f"failed when it was measured: {measured[0].problem}")
    return entry if measured else replace(entry, doubt=_in_the_way(entry, bundle))


def _in_the_way(entry: _Entry, bundle: Bundle) -> str:
    """What a graph still lacks on this device, e.g. its engine; empty if nothing."""
    if entry.refusal or entry.row is None or not entry.row.obstacle:
        return ""
    from edge_tx.vendors import obstacle

    return str(obstacle(entry.row.name, bundle.root / entry.graph.entry) or "")


def _best(entries: Sequence[_Entry], tuning: Tuning | None) -> tuple[_Entry, str]:
    if len(entries) == 1:
        return entries[0], f"the only graph that can run here ('{entries[0].graph.backend}')"
    costs = _costs(entries, tuning)
    if tuning is None or not costs:
        return entries[0], _by_order(entries[0])
    from edge_tx.tuning import TIE

    least = min(costs.values())
    chosen = next(e for e in entries if costs.get(e.graph.name, least * 2) <= least * (1 + TIE))
    cost = tuning.shown(costs[chosen.graph.name])
    best = f"best {tuning.goal.value} measured on this device"
    return chosen, f"{best}: {cost} (threads: {tuning.threads}, {tuning.created[:10]})"


def _by_order(entry: _Entry) -> str:
    kind = f"quantised ({entry.graph.recipe})" if entry.graph.recipe else "unquantised"
    return (
        f"'{entry.graph.backend}' is the first installed backend with a graph that is {kind}; "
        "nothing was measured here: edge-tx tune does"
    )


def _costs(entries: Sequence[_Entry], tuning: Tuning | None) -> dict[str, float]:
    if tuning is None:
        return {}
    found = {e.graph.name: tuning.cost(e.graph.name) for e in entries}
    return {name: cost for name, cost in found.items() if cost is not None}


def _verdict(entry: _Entry, chosen: _Entry, tuning: Tuning | None) -> str:
    if entry is chosen:
        return "chosen"
    if entry.refusal or entry.doubt:
        return entry.refusal or entry.doubt
    costs = _costs((entry, chosen), tuning)
    if tuning is None or len(costs) < 2:
        return "later in the order"
    mine, best = (costs[e.graph.name] for e in (entry, chosen))
    return f"{tuning.shown(mine)}, {mine / best:.2f} times the chosen one's {tuning.goal.value}"


def _nothing(
    entries: Sequence[_Entry], device: str
) -> MissingDependency | UnknownName | AccuracyGateFailed:
    """What to raise where no graph stands."""
    rows = [entry.row for entry in entries if entry.row is not None]
    here = [row for row in rows if device == "auto" or device in row.devices]
    if rows and not here:
        return UnknownName("device of this bundle's backends", device, _devices(rows))
    if any(row.module is not None for row in here):
        problems = "; ".join(f"{e.graph.name}: {e.refusal}" for e in entries)
        return AccuracyGateFailed(f"no graph of this bundle will do: {problems}")
    names = ", ".join(sorted({e.graph.backend for e in entries}))
    return MissingDependency(names, "this bundle", rows[0].install if rows else "install a plug-in")


def _devices(rows: Sequence[Backend]) -> set[str]:
    return {device for row in rows for device in row.devices}
