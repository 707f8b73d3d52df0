"""Memory of this process, private and shared apart, and of the accelerators it uses."""

from __future__ import annotations

from pathlib import Path

from edge_tx.bench import gpu
from edge_tx.report import Memory
from edge_tx.stats import MemoryStats

__all__ = ["measure", "rollup"]

_ROLLUP = Path("/proc/self/smaps_rollup")


def measure(loaded_bytes: int | None, gpu_bytes: int | None = None) -> Memory:
    """Reads this process's memory.

    Args:
        loaded_bytes: What was resident when the model was ready.
        gpu_bytes: Most that it had on a GPU, as :func:`edge_tx.bench.gpu.used_bytes` said.
    """
    now = MemoryStats.read()
    parts = rollup()
    return Memory(
        peak_bytes=now.peak_rss_bytes,
        loaded_bytes=loaded_bytes,
        steady_bytes=now.rss_bytes,
        private_bytes=_sum(parts, "Private_Clean", "Private_Dirty"),
        shared_bytes=_sum(parts, "Shared_Clean", "Shared_Dirty"),
        anonymous_bytes=now.anonymous_bytes,
        gpu_bytes=gpu_bytes if gpu_bytes is not None else gpu.used_bytes(),
    )


def rollup(path: Path = _ROLLUP) -> dict[str, int]:
    """The fields of Linux' ``smaps_rollup`` in bytes; empty where there is none.

    See https://docs.kernel.org/filesystems/proc.html, "smaps_rollup".
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    words = (line.split() for line in lines)
    return {w[0].rstrip(":"): int(w[1]) * 1024 for w in words if len(w) == 3 and w[2] == "kB"}


def _sum(parts: dict[str, int], *names: str) -> int | None:
    return sum(parts[name] for name in names) if all(name in parts for name in names) else None
