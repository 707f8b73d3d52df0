"""Graphs that are packaged where they are exported, and built on the device."""

from __future__ import annotations

from edge_tx.backends import known
from edge_tx.manifest import Graph

__all__ = ["status"]


def status(graph: Graph) -> str:
    """How far a graph is that its backend must build before it runs; empty for all others.

    For people: ``"packaged; preflight passed with TensorRT-RTX 1.7; engine is built on the
    device"``.
    """
    row = known().get(graph.backend)
    if row is None or not row.builder:
        return ""
    checks = (f"{name} {how}" for name, how in graph.checks.items() if name != "parity")
    return "; ".join(["packaged", *checks, "engine is built on the device"])
