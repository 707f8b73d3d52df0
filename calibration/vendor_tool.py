"""What stands around every call of a vendor's quantizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edge_tx.errors import EdgeTxError, ExportFailed
from edge_tx.exporters.quiet import quiet

__all__ = ["mapped"]


@contextlib.contextmanager
def mapped(tool: str, doing: str) -> Iterator[None]:
    """Keeps a tool quiet, and turns whatever it raises into one line of ours.

    Args:
        tool: The vendor's name for it.
        doing: At what it may fail, e.g. ``"reading model.onnx"``.

    Raises:
        ExportFailed: It failed.
        EdgeTxError: What our own code raised meanwhile, as it is.
    """
    try:
        with quiet():
            yield
    except EdgeTxError:
        raise
    except Exception as exc:  # of every kind, from Python and from C++
        line = " ".join(str(exc).split())
        raise ExportFailed(
            f"{tool} failed while {doing}: {type(exc).__name__}: {line[:300]}"
        ) from exc
