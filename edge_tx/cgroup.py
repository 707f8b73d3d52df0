"""The CPU quota and the memory limit that a container gives this process.

Both versions of Linux' control groups are read. A limit may stand at any level between the
process' own group and the root, and the tightest one counts, so the tree is walked upwards:
https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/index.html beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Limits", "oom_kills", "quota_throttles", "read_limits"]

# Version 1 writes "no limit" as the largest page-aligned int64.
_NO_LIMIT_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class Limits:
    """What the control groups allow.

    Attributes:
        cpus: CPU time per wall time, e.g. 1.5; None if there is no quota.
        memory_bytes: Of the whole group; None if there is no limit.
    """

    cpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Mount:
    controllers: frozenset[str]  # {""} for version 2's single tree
    group: PurePosixPath  # the group that the mount point shows
    point: PurePosixPath


def read_limits(root: Path = Path("/")) -> Limits:
    """Reads the limits of this process.

    Args:
        root: Folder that stands for ``/``.

    Returns:
        The tightest limits; None where a file does not exist or cannot be read.
    """
    groups = _groups(_text(root / "proc/self/cgroup"))
    cpus: list[float] = []
    memory: list[int] = []
    for mount in _mounts(_text(root / "proc/self/mountinfo")):
        for controller in mount.controllers & groups.keys():
            for folder in _upwards(root, mount, groups[controller]):
                cpus += _cpus(folder)
                memory += _memory(folder)
    return Limits(min(cpus, default=None), min(memory, default=None))


def quota_throttles(root: Path = Path("/")) -> int | None:
    """Periods in which this process' groups ran out of CPU time; None if none counts them."""
    return _largest(root, "cpu.stat", "nr_throttled")


def oom_kills(root: Path = Path("/")) -> int | None:
    """Processes that were killed for memory in this process' groups; None if none counts them."""
    found = (_largest(root, name, "oom_kill") for name in ("memory.events", "memory.oom_control"))
    return max((count for count in found if count is not None), default=None)


def _largest(root: Path, file: str, key: str) -> int | None:
    """The largest count of a key at any level: a group counts what happens below it too."""
    groups = _groups(_text(root / "proc/self/cgroup"))
    counts = [
        int(words[1])
        for mount in _mounts(_text(root / "proc/self/mountinfo"))
        for controller in mount.controllers & groups.keys()
        for folder in _upwards(root, mount, groups[controller])
        for words in map(str.split, _text(folder / file).splitlines())
        if len(words) == 2 and words[0] == key and words[1].isdigit()
    ]
    return max(counts, default=None)


def _groups(text: str) -> dict[str, PurePosixPath]:
    """Group of this process by controller, from ``/proc/self/cgroup``."""
    fields = (line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2)
    return {name: PurePosixPath(path) for _, names, path in fields for name in names.split(",")}


def _mounts(text: str) -> Iterator[_Mount]:
    """The control-group mounts in ``/proc/self/mountinfo``; see proc_pid_mountinfo(5)."""
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        mount, system = left.split(), right.split()
        if len(mount) < 5 or len(system) < 3 or system[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = system[2].split(",") if system[0] == "cgroup" else [""]
        yield _Mount(frozenset(controllers), PurePosixPath(mount[3]), PurePosixPath(mount[4]))


def _upwards(root: Path, mount: _Mount, group: PurePosixPath) -> Iterator[Path]:
    """The folders of a group and of those above it, as far as the mount shows them."""
    point = root / str(mount.point).lstrip("/")
    below = group.relative_to(mount.group) if group.is_relative_to(mount.group) else None
    if below is not None and ".." not in below.parts:
        yield from (point / part for part in (below, *below.parents) if part.parts)
    yield point  # in a namespace of its own, a process sees its group as the mount point


def _cpus(folder: Path) -> list[float]:
    """Quota over period: ``cpu.max`` of version 2, ``cpu.cfs_*`` of version 1."""
    pair = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    numbers = [int(word) for word in pair if word.isdigit()]  # neither "max" nor "-1" is
    return [numbers[0] / numbers[1]] if len(numbers) == 2 and all(numbers) else []


def _memory(folder: Path) -> list[int]:
    word = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    limit = int(word) if word.strip().isdigit() else _NO_LIMIT_BYTES
    return [limit] if limit < _NO_LIMIT_BYTES else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
