"""The machine around a measurement: frequency, heat, limits, and who else computes."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge_tx.cgroup import quota_throttles
from edge_tx.report import Conditions, Surroundings

__all__ = ["Watch", "read_conditions", "why_not"]

_ROOT = Path("/")
_CPU = "sys/devices/system/cpu"


def read_conditions(root: Path = _ROOT) -> Conditions:
    """The machine as it is now; what cannot be read is None.

    Args:
        root: Folder that stands for ``/``.
    """
    return Conditions(
        governor=_governor(root),
        turbo=_turbo(root),
        frequency_mhz=_frequency(root),
        load_average=_load_average(root),
        temperature_c=_temperature(root),
        thermal_throttles=_throttles(root),
        quota_throttles=quota_throttles(root),
        memory_available_bytes=_available(root),
    )


def why_not(conditions: Conditions) -> dict[str, str]:
    """What of the machine's state cannot be read here, and why."""
    missing = {
        "governor": not conditions.governor and "the kernel shows no cpufreq",
        "turbo": conditions.turbo is None and "the kernel shows no turbo switch",
        "temperature": conditions.temperature_c is None and "the kernel shows no thermal zone",
        "thermal throttling": conditions.thermal_throttles is None
        and "the kernel shows no throttle counter",
    }
    return {name: reason for name, reason in missing.items() if reason}


@dataclass
class Watch:
    """What goes on beside a child process, from its start to its end.

    Args:
        root: Folder that stands for ``/``.
    """

    root: Path = _ROOT
    _start: float = field(default_factory=time.perf_counter)
    _before: Conditions = field(init=False)
    _busy: tuple[float, float] | None = field(init=False)
    _own: float = field(init=False)

    def __post_init__(self) -> None:
        self._before = read_conditions(self.root)
        self._busy, self._own = _cpu_seconds(self.root), _own_seconds()

    def stop(self) -> Surroundings:
        """What went on since this was made."""
        after, elapsed = read_conditions(self.root), time.perf_counter() - self._start
        others, stolen = self._others(max(elapsed, 1e-9))
        before = self._before
        return Surroundings(
            others_cpu=others,
            stolen_cpu=stolen,
            load_average=before.load_average[0] if before.load_average else None,
            temperature_c=after.temperature_c,
            thermal_throttles=_more(before.thermal_throttles, after.thermal_throttles),
            quota_throttles=_more(before.quota_throttles, after.quota_throttles),
        )

    def _others(self, elapsed: float) -> tuple[float | None, float | None]:
        now = _cpu_seconds(self.root)
        if self._busy is None or now is None:
            return None, None
        busy, stolen = (b - a for a, b in zip(self._busy, now, strict=True))
        mine = _own_seconds() - self._own
        return round(max(0.0, busy - mine) / elapsed, 3), round(stolen / elapsed, 3)


def _own_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _cpu_seconds(root: Path) -> tuple[float, float] | None:
    """Busy and stolen CPU time of the whole machine; see proc_stat(5)."""
    words = _text(root / "proc/stat").partition("\n")[0].split()[1:]
    if len(words) < 8:
        return None
    user, nice, system, _idle, _wait, hard, soft, steal = map(int, words[:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + hard + soft) / ticks, steal / ticks


def _more(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _governor(root: Path) -> str:
    files = (root / _CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")
    return ",".join(sorted({_text(path).strip() for path in files} - {""}))


def _turbo(root: Path) -> bool | None:
    """Intel's driver says what is off, the others what is on."""
    off = _text(root / _CPU / "intel_pstate/no_turbo").strip()
    on = _text(root / _CPU / "cpufreq/boost").strip()
    return off == "0" if off else on == "1" if on else None


def _frequency(root: Path) -> float | None:
    files = (root / _CPU).glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    found = [int(text) / 1000 for text in map(_stripped, files) if text.isdigit()]
    return max(found, default=None)


def _load_average(root: Path) -> tuple[float, ...]:
    words = _text(root / "proc/loadavg").split()[:3]
    try:
        return tuple(map(float, words))
    except ValueError:
        return ()


def _temperature(root: Path) -> float | None:
    files = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    found = [int(text) / 1000 for text in map(_stripped, files) if text.lstrip("-").isdigit()]
    return max(found, default=None)


def _throttles(root: Path) -> int | None:
    files = (root / _CPU).glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    found = [int(text) for text in map(_stripped, files) if text.isdigit()]
    return sum(found) if found else None


def _available(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _stripped(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
