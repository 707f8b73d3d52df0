"""Shows a graph to NVIDIA's own parser and builder, on a machine without a GPU.

TensorRT itself does not build without one. TensorRT-RTX, its sibling for RTX PCs, does: it has
the same ONNX parser and the same strongly typed networks. What it refuses, TensorRT refuses;
that it takes a graph is good evidence and no proof, so every record says whose parser it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from edge_tx.backends import find, resolve
from edge_tx.errors import ExportFailed, SessionFailed

__all__ = ["CAPABILITY", "Flight", "fly"]

_BACKEND = "tensorrt_rtx"
#: GPU generation that the trial engine is for: Ada, which every release of RTX builds for.
CAPABILITY = 89

_NOT_INSTALLED = "not run: TensorRT-RTX is not installed (pip install 'edge-tx[tensorrt-rtx]')"


@dataclass(frozen=True, slots=True)
class Flight:
    """How it went.

    Attributes:
        outcome: For people: ``"passed with TensorRT-RTX 1.7"``, or why it was not run.
        tools: Exact version of what ran it.
    """

    outcome: str
    tools: Mapping[str, str] = field(default_factory=dict)


def fly(entry: Path, profiles: Path) -> Flight:
    """Parses a graph and builds a throw-away engine of it, in a process of its own.

    Args:
        entry: The ``.onnx`` file.
        profiles: The ``profiles.json``.

    Raises:
        ExportFailed: The graph is refused; lists the nodes.
    """
    row = find(_BACKEND)
    if row.module is None:
        return Flight(_NOT_INSTALLED)
    # By its dotted name, as every room reaches another.
    trial = resolve("edge_tx.runtimes.tensorrt_build:trial")
    try:
        answer = cast(Any, trial(_BACKEND, entry, profiles, CAPABILITY))
    except SessionFailed as exc:
        raise ExportFailed(f"preflight: {exc}") from exc
    runner = f"{row.title} {answer.version}"
    if answer.unsupported:
        shown = "; ".join(answer.unsupported[:5])
        more = len(answer.unsupported) - 5
        raise ExportFailed(
            f"{runner}'s parser refuses {entry.name}: {shown}"
            f"{f'; and {more} more' if more > 0 else ''}"
        )
    if answer.failure:
        raise ExportFailed(f"{runner} parses {entry.name} but cannot build it: {answer.failure}")
    release = ".".join(answer.version.split(".")[:2])
    return Flight(f"passed with {row.title} {release}", {row.name: answer.version})
