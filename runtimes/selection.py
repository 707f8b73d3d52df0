"""Which of a bundle's graphs to run on this device, and why."""

from __future__ import annotations

from dataclasses import dataclass

from edge_tx.backends import find, in_order
from edge_tx.bundle import Bundle
from edge_tx.errors import DeviceUnavailable, MissingDependency, UnknownName
from edge_tx.manifest import Graph
from edge_tx.vendors import obstacle

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A graph and the reason it was taken.

    Attributes:
        graph: The graph.
        reason: In words, for :meth:`edge_tx.Model.describe`.
    """

    graph: Graph
    reason: str


def choose(bundle: Bundle, backend: str = "auto", graph: str | None = None) -> Choice:
    """Chooses a graph.

    The one that is named; else the first of the backend that is named; else the first that can
    run here, backends in the order of their table. What was passed over, and why, is in the
    reason.

    Raises:
        UnknownName: The bundle has no such graph, or no graph of that backend.
        MissingDependency: None of the bundle's backends is installed.
        DeviceUnavailable: One is, but its graphs need a device or an engine that is not here.
    """
    graphs = bundle.manifest.graphs
    if graph is not None:
        named = [g for g in graphs if g.name == graph]
        if not named:
            raise UnknownName("graph", graph, (g.name for g in graphs))
        if backend not in ("auto", named[0].backend):
            raise UnknownName("backend of that graph", backend, (named[0].backend,))
        return Choice(named[0], "asked for by name")
    if backend != "auto":
        find(backend)
        mine = [g for g in graphs if g.backend == backend]
        if not mine:
            raise UnknownName("backend in this bundle", backend, {g.backend for g in graphs})
        return Choice(mine[0], f"first graph of backend '{backend}', which was asked for")
    return _first_that_runs(bundle)


def _first_that_runs(bundle: Bundle) -> Choice:
    graphs = bundle.manifest.graphs
    rows = in_order({g.backend for g in graphs})
    passed: list[str] = []
    for row, graph in ((row, g) for row in rows for g in graphs if g.backend == row.name):
        in_the_way = obstacle(row.name, bundle.root / graph.entry)
        if in_the_way is None:
            reason = f"'{row.name}' is the first backend it has that can run here"
            return Choice(graph, "; ".join([reason, *(f"passed over {p}" for p in passed)]))
        passed.append(f"{graph.name}: {in_the_way}")
    if any(row.module is not None for row in rows):
        raise DeviceUnavailable(f"no graph of this bundle can run here: {'; '.join(passed)}")
    names = ", ".join(sorted({g.backend for g in graphs}))
    raise MissingDependency(names, "this bundle", rows[0].install if rows else "install a plug-in")
