"""Memory and energy of NVIDIA's GPUs, from NVML; memory of a Jetson's, from its sysfs.

NVML is a library of the driver (``libnvidia-ml.so.1``), opened with ctypes: two of its functions
are called, and no package is needed for them. Its reference:
https://docs.nvidia.com/deploy/nvml-api/. A Jetson has no NVML for its memory; the kernel's nvmap
driver lists what each process has: ``/sys/kernel/debug/nvmap/iovmm/clients`` (readable by root).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["energy_millijoules", "name", "used_bytes", "why_not"]

_LIBRARY = "libnvidia-ml.so.1"
_NVMAP = Path("/sys/kernel/debug/nvmap/iovmm/clients")
_MOST_PROCESSES = 256
_UNAVAILABLE = (1 << 64) - 1


class _Process(ctypes.Structure):
    """``nvmlProcessInfo_t`` of the functions that end in ``_v3``."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def used_bytes(pid: int | None = None) -> int | None:
    """GPU memory of a process over all GPUs; None where it cannot be read.

    Args:
        pid: Of the process; this one's if None.
    """
    mine = pid or os.getpid()
    if _NVMAP.exists():
        return _nvmap_bytes(mine)
    found = [bytes_ for device in _devices() for bytes_ in _of_process(device, mine)]
    return sum(found) if _devices() and _UNAVAILABLE not in found else None


def energy_millijoules() -> int | None:
    """Energy of all GPUs since the driver was loaded (Volta and later); None if not counted."""
    total = 0
    for device in _devices():
        count = ctypes.c_ulonglong()
        if _nvml().nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(count)) != 0:
            return None
        total += count.value
    return total if _devices() else None


def name() -> str:
    """Of the energy counter."""
    return "NVML total energy"


def why_not() -> str:
    """Why GPU memory cannot be measured here; empty if it can."""
    if _NVMAP.exists():
        readable = os.access(_NVMAP, os.R_OK)
        return "" if readable else f"{_NVMAP} can only be read by root"
    if _nvml() is None:
        return f"no {_LIBRARY}: there is no NVIDIA driver"
    return "" if _devices() else "NVML sees no GPU"


def _nvmap_bytes(pid: int) -> int | None:
    """Of lines such as ``user  python3  1234  10240K``; see the kernel's nvmap driver."""
    try:
        lines = _NVMAP.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    sizes = (w[-1] for w in map(str.split, lines) if len(w) >= 4 and w[-2] == str(pid))
    return sum(int(size.rstrip("K")) * 1024 for size in sizes if size.rstrip("K").isdigit())


@cache
def _nvml() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None


@cache
def _devices() -> tuple[ctypes.c_void_p, ...]:
    library, count = _nvml(), ctypes.c_uint()
    if library is None or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return ()
    handles = [ctypes.c_void_p() for _ in range(count.value)]
    asked = enumerate(handles)
    good = [library.nvmlDeviceGetHandleByIndex_v2(i, ctypes.byref(h)) == 0 for i, h in asked]
    return tuple(handle for handle, is_good in zip(handles, good, strict=True) if is_good)


def _of_process(device: ctypes.c_void_p, pid: int) -> Iterator[int]:
    library, count = _nvml(), ctypes.c_uint(_MOST_PROCESSES)
    rows = (_Process * _MOST_PROCESSES)()
    ask = getattr(library, "nvmlDeviceGetComputeRunningProcesses_v3", None)
    if ask is not None and ask(device, ctypes.byref(count), rows) == 0:
        yield from (row.used for row in rows[: count.value] if row.pid == pid)
