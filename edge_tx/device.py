"""The machine this process runs on: processor, limits, memory, accelerators.

Everything is read from files (Linux' ``/proc`` and ``/sys``); no vendor's library is loaded.
Other systems get what the standard library knows, and fewer fields.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_tx.cgroup import read_limits

__all__ = ["Accelerator", "Cpu", "DeviceInfo", "hardware_threads", "usable_threads"]

_ROOT = Path("/")

# What /proc/cpuinfo calls the instruction sets that decide which int8 and fp16 kernels run.
_INSTRUCTION_SETS = {
    "avx2": "avx2",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_int8": "amx_int8",
    "asimd": "asimd",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "sve",
}

# Arm kernels print numbers where x86 ones print a name: (implementer, part).
_ARM_CORES = {
    ("0x41", "0xd03"): "Arm Cortex-A53",
    ("0x41", "0xd05"): "Arm Cortex-A55",
    ("0x41", "0xd08"): "Arm Cortex-A72",
    ("0x41", "0xd0b"): "Arm Cortex-A76",
    ("0x41", "0xd0c"): "Arm Neoverse-N1",
    ("0x41", "0xd40"): "Arm Neoverse-V1",
    ("0x41", "0xd42"): "Arm Cortex-A78AE",
    ("0x41", "0xd49"): "Arm Neoverse-N2",
    ("0x41", "0xd4f"): "Arm Neoverse-V2",
}

_PCI_VENDORS = {"0x8086": "Intel", "0x1002": "AMD", "0x10de": "NVIDIA"}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Something beside the CPU that could run a graph.

    Attributes:
        kind: ``"gpu"`` or ``"npu"``.
        vendor: ``"NVIDIA"``, ``"Intel"``, ``"AMD"``.
        name: As the driver calls it.
        driver: Version, where the driver says it.
    """

    kind: str
    vendor: str
    name: str
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor, and how much of it this process may use.

    Attributes:
        model: Name of the processor.
        logical_cores: Hardware threads in the affinity mask.
        physical_cores: Cores behind them; hyper-threads of one core count once. Equal to
            ``logical_cores`` where the system does not tell.
        quota: CPU time per wall time that the control groups allow; None for no limit.
        instruction_sets: Those that matter to the kernels of the runtimes.
    """

    model: str
    logical_cores: int
    physical_cores: int
    quota: float | None
    instruction_sets: tuple[str, ...]

    @property
    def usable_threads(self) -> int:
        """Threads that one graph should use.

        Never more than the physical cores: two hyper-threads share one set of multipliers.
        A quota is rounded down: with 1.5 CPUs, two threads burn a period's quota in three
        quarters of it and both then stand still for the rest, which shows as a p99 tens of
        milliseconds above the median.
        """
        allowed = self.physical_cores if self.quota is None else int(self.quota)
        return max(1, min(self.physical_cores, allowed))

    @classmethod
    def probe(cls, root: Path = _ROOT, cpus: Collection[int] | None = None) -> Cpu:
        """Looks at the processor.

        Args:
            root: Folder that stands for ``/``.
            cpus: Numbers of the hardware threads allowed; this process' affinity mask if None.
        """
        allowed = _affinity() if cpus is None else frozenset(cpus)
        cpuinfo = _text(root / "proc/cpuinfo")
        return cls(
            model=_cpu_model(cpuinfo) or platform.processor() or platform.machine(),
            logical_cores=len(allowed),
            physical_cores=_physical_cores(root, allowed),
            quota=read_limits(root).cpus,
            instruction_sets=_instruction_sets(cpuinfo),
        )


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The machine this process runs on.

    Attributes:
        machine: Board or product name where there is one, e.g. ``"Raspberry Pi 5 Model B"``.
        architecture: ``"x86_64"``, ``"aarch64"``...
        system: Operating system and its version.
        python: Version of the interpreter.
        cpu: The processor and how much of it may be used.
        memory_bytes: Of the machine; 0 where the system does not tell.
        memory_limit_bytes: What the control groups allow; None for no limit.
        accelerators: GPUs and NPUs, whether or not an installed backend can use them.
    """

    machine: str
    architecture: str
    system: str
    python: str
    cpu: Cpu
    memory_bytes: int
    memory_limit_bytes: int | None
    accelerators: tuple[Accelerator, ...]

    @property
    def usable_memory_bytes(self) -> int:
        """The machine's memory or the limit, whichever is less; 0 if unknown."""
        limit = self.memory_limit_bytes
        return self.memory_bytes if limit is None else min(limit, self.memory_bytes or limit)

    @classmethod
    def probe(cls, root: Path = _ROOT, cpus: Collection[int] | None = None) -> DeviceInfo:
        """Looks at the machine; fields that cannot be read are empty, and nothing is raised.

        Args:
            root: Folder that stands for ``/``.
            cpus: Numbers of the hardware threads allowed; this process' affinity mask if None.
        """
        return cls(
            machine=_machine(root),
            architecture=platform.machine(),
            system=_system(root),
            python=platform.python_version(),
            cpu=Cpu.probe(root, cpus),
            memory_bytes=_memory_bytes(_text(root / "proc/meminfo")),
            memory_limit_bytes=read_limits(root).memory_bytes,
            accelerators=tuple(found for look in _ACCELERATORS for found in look(root)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values that :mod:`json` can write, ``usable_threads`` among them."""
        record = asdict(self)
        record["cpu"]["usable_threads"] = self.cpu.usable_threads
        record["usable_memory_bytes"] = self.usable_memory_bytes
        return record


def usable_threads() -> int:
    """Threads that one graph should use on this machine; see :attr:`Cpu.usable_threads`."""
    return Cpu.probe().usable_threads


def hardware_threads(
    count: int, root: Path = _ROOT, cpus: Collection[int] | None = None
) -> tuple[int, ...]:
    """The hardware threads that a budget of so many gets: each on a core of its own, if it can.

    Args:
        count: Of the budget.
        root: Folder that stands for ``/``.
        cpus: Numbers of the hardware threads allowed; this process' affinity mask if None.

    Returns:
        Their numbers, all that are allowed if those are fewer.
    """
    allowed = sorted(_affinity() if cpus is None else cpus)
    seen: dict[str, int] = {}

    def turn(cpu: int) -> int:
        core = _core(root, cpu)
        seen[core] = seen.get(core, 0) + 1
        return seen[core]

    turns = {cpu: turn(cpu) for cpu in allowed}
    return tuple(sorted(sorted(allowed, key=lambda cpu: (turns[cpu], cpu))[:count]))


def _affinity() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _physical_cores(root: Path, cpus: Collection[int]) -> int:
    return max(1, len({_core(root, cpu) for cpu in cpus}))


def _core(root: Path, cpu: int) -> str:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    return _text(folder / "thread_siblings_list").strip() or str(cpu)


def _fields(cpuinfo: str) -> dict[str, str]:
    """The first value of each key of ``/proc/cpuinfo``."""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _cpu_model(cpuinfo: str) -> str:
    fields = _fields(cpuinfo)
    arm = (fields.get("CPU implementer", ""), fields.get("CPU part", ""))
    return fields.get("model name") or _ARM_CORES.get(arm, "")


def _instruction_sets(cpuinfo: str) -> tuple[str, ...]:
    fields = _fields(cpuinfo)
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return tuple(ours for theirs, ours in _INSTRUCTION_SETS.items() if theirs in flags)


def _machine(root: Path) -> str:
    for path in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        name = _text(root / path).strip("\0 \n")
        if name:
            return name
    return ""


def _system(root: Path) -> str:
    for line in _text(root / "etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return f"{value.strip(chr(34))}, {platform.system()} {platform.release()}"
    return f"{platform.system()} {platform.release()}"


def _memory_bytes(meminfo: str) -> int:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0


def _nvidia(root: Path) -> Iterator[Accelerator]:
    version = _text(root / "proc/driver/nvidia/version").split("Kernel Module")
    driver = (version[1].split() or [""])[0] if len(version) > 1 else ""
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        yield Accelerator("gpu", "NVIDIA", _fields(_text(path)).get("Model", "GPU"), driver)


def _nvidia_smi(root: Path) -> Iterator[Accelerator]:
    """Windows and WSL have the tool but no ``/proc/driver/nvidia``."""
    import shutil  # these two cost every start 4 ms, and few devices have the tool
    import subprocess

    tool = shutil.which("nvidia-smi")
    if root != _ROOT or tool is None or (root / "proc/driver/nvidia").exists():
        return
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # present, but there is no driver behind it
        return
    for line in answer.stdout.splitlines():
        name, _, driver = line.partition(",")
        yield Accelerator("gpu", "NVIDIA", name.strip(), driver.strip())


def _jetson(root: Path) -> Iterator[Accelerator]:
    """A Jetson's GPU is no PCI device; its release file names the driver package (L4T)."""
    release = _text(root / "etc/nv_tegra_release")  # "# R36 (release), REVISION: 4.3, GCID..."
    if release:
        major = release.partition("(")[0].strip("# R")
        minor = release.partition("REVISION:")[2].partition(",")[0].strip()
        yield Accelerator("gpu", "NVIDIA", f"{_machine(root)} GPU".strip(), f"L4T {major}.{minor}")


def _render_nodes(root: Path) -> Iterator[Accelerator]:
    """Intel and AMD GPUs; NVIDIA's own files say more, see above."""
    for path in sorted((root / "dev/dri").glob("renderD*")):
        vendor = _pci_vendor(root / "sys/class/drm" / path.name)
        if vendor in ("Intel", "AMD"):
            yield Accelerator("gpu", vendor, f"{vendor} GPU (/dev/dri/{path.name})")


def _npus(root: Path) -> Iterator[Accelerator]:
    for path in sorted((root / "dev/accel").glob("accel*")):
        vendor = _pci_vendor(root / "sys/class/accel" / path.name)
        yield Accelerator("npu", vendor, f"{vendor or 'unknown'} NPU (/dev/accel/{path.name})")


_ACCELERATORS: tuple[Callable[[Path], Iterator[Accelerator]], ...] = (
    _nvidia,
    _nvidia_smi,
    _jetson,
    _render_nodes,
    _npus,
)


def _pci_vendor(folder: Path) -> str:
    return _PCI_VENDORS.get(_text(folder / "device/vendor").strip(), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
