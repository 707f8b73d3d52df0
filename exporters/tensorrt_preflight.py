"""Shows a graph to NVIDIA's own parser and builder, on a machine without a GPU.

TensorRT itself does not build without one. TensorRT-RTX, its sibling for RTX PCs, does: it has
the same ONNX parser and the same strongly typed networks. What it refuses, TensorRT refuses;
that it takes a graph is good evidence and no proof, so every record says whose parser it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from edge_tx.backends import find, resolve
from edge_tx.errors import ExportFailed, SessionFailed

__all__ = ["CAPABILITY", "fly"]

_BACKEND = "tensorrt_rtx"
#: GPU generation that the trial engine is for: Ada, which every release of RTX builds for.
CAPABILITY = 89

_NOT_INSTALLED = "not run: TensorRT-RTX is not installed (pip install 'edge-tx[tensorrt-rtx]')"


def fly(entry: Path, profiles: Path) -> str:
    """Parses a graph and builds a throw-away engine of it, in a process of its own.

    Args:
        entry: The ``.onnx`` file.
        profiles: The ``profiles.json``.

    Returns:
        For the manifest: ``"TensorRT-RTX 1.7.1.116: parsed, built for sm_89"``, or why it was
        not run.

    Raises:
        ExportFailed: The graph is refused; lists the nodes.
    """
    row = find(_BACKEND)
    if row.module is None:
        return _NOT_INSTALLED
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
    return f"{runner}: parsed, built for sm_{CAPABILITY}"
