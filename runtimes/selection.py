"""Which of a bundle's graphs to run on this device, and why."""

from __future__ import annotations

from dataclasses import dataclass

from edge_tx.backends import find, in_order
from edge_tx.bundle import Bundle
from edge_tx.errors import MissingDependency, UnknownName
from edge_tx.manifest import Graph

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

    The one that is named; else the first of the backend that is named; else the first whose
    backend is installed, backends in the order of their table.

    Raises:
        UnknownName: The bundle has no such graph, or no graph of that backend.
        MissingDependency: None of the bundle's backends is installed.
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
    rows = in_order({g.backend for g in graphs})
    for row in rows:
        if row.module is not None:
            first = next(g for g in graphs if g.backend == row.name)
            return Choice(first, f"'{row.name}' is the first installed backend it has")
    names = ", ".join(sorted({g.backend for g in graphs}))
    raise MissingDependency(names, "this bundle", rows[0].install if rows else "install a plug-in")
