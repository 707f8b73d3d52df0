"""Energy by real counters. Where there is none, nothing is said: an estimate is no measurement.

- **RAPL**, of Intel's and AMD's CPUs: ``/sys/class/powercap/*/energy_uj`` counts microjoules of
  a package and starts again at ``max_energy_range_uj``; root alone may read it.
  https://docs.kernel.org/power/powercap/powercap.html
- **NVML**, of NVIDIA's GPUs: millijoules since the driver was loaded.
- **INA3221**, of a Jetson's board: current and voltage of each rail in ``/sys/class/hwmon``, which
  are power at a moment; samples of it, taken while calls run, are summed up over time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns

from edge_tx.bench import gpu
from edge_tx.report import Energy

__all__ = ["Meter", "why_not"]

_ROOT = Path("/")
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Rapl:
    """One package's counter."""

    folder: Path

    @property
    def name(self) -> str:
        return f"RAPL {_text(self.folder / 'name')}"

    def microjoules(self) -> int:
        return int(_text(self.folder / "energy_uj"))

    def since(self, start: int) -> float:
        now = self.microjoules()
        around = int(_text(self.folder / "max_energy_range_uj") or 0) if now < start else 0
        return (now - start + around) / 1e6


@dataclass
class Meter:
    """Counts energy between :meth:`start` and :meth:`stop`.

    Args:
        root: Folder that stands for ``/``.
    """

    root: Path = _ROOT
    _rapl: dict[_Rapl, int] = field(default_factory=dict)
    _gpu: int | None = None
    _rails: _Rails | None = None

    def start(self) -> None:
        """Begins to count."""
        self._rapl = {counter: counter.microjoules() for counter in _packages(self.root)}
        self._gpu = gpu.energy_millijoules() if self.root == _ROOT else None
        rails = list(_ina_rails(self.root))
        self._rails = _Rails(rails) if rails else None

    def stop(self, answers: int) -> Energy | None:
        """What was counted since; None where nothing is.

        Args:
            answers: Inputs that were answered meanwhile.
        """
        parts = {counter.name: counter.since(at) for counter, at in self._rapl.items()}
        if self._gpu is not None:
            parts[gpu.name()] = ((gpu.energy_millijoules() or self._gpu) - self._gpu) / 1e3
        if self._rails is not None:
            parts["INA3221"] = self._rails.stop()
        if not parts:
            return None
        joules = sum(parts.values())
        return Energy(", ".join(parts), joules, joules / max(answers, 1))


def why_not(root: Path = _ROOT) -> str:
    """Why energy cannot be measured here; empty if it can."""
    if any(_packages(root)) or any(_ina_rails(root)):
        return ""
    if root == _ROOT and gpu.energy_millijoules() is not None:
        return ""
    if list(_package_folders(root)):
        return "RAPL's counters can only be read by root"
    return "no counter: neither RAPL, NVML nor a Jetson's INA3221"


class _Rails:
    """Sums up a board's power while a thread of its own samples it."""

    def __init__(self, rails: list[tuple[Path, Path]]) -> None:
        self._rails = rails
        self._joules = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-tx-power", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._joules

    def _run(self) -> None:
        before = perf_counter_ns()
        more = True
        while more:
            more = not self._done.wait(_POLL_S)
            now = perf_counter_ns()
            self._joules += self._watts() * (now - before) / 1e9
            before = now

    def _watts(self) -> float:
        pairs = ((_text(volts), _text(amps)) for volts, amps in self._rails)
        return sum(int(mv) * int(ma) / 1e6 for mv, ma in pairs if mv.isdigit() and ma.isdigit())


def _package_folders(root: Path) -> Iterator[Path]:
    """Whole packages: their parts (cores, memory) are in them already."""
    for folder in sorted((root / "sys/class/powercap").glob("*:*")):
        if _text(folder / "name").startswith("package"):
            yield folder


def _packages(root: Path) -> Iterator[_Rapl]:
    return (_Rapl(f) for f in _package_folders(root) if _text(f / "energy_uj").isdigit())


def _ina_rails(root: Path) -> Iterator[tuple[Path, Path]]:
    """Voltage in mV and current in mA of the rail that feeds the whole board."""
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if _text(chip / "name") != "ina3221":
            continue
        for label in sorted(chip.glob("in*_label")):
            if _text(label).startswith("VDD_IN") or _text(label).startswith("POM_5V_IN"):
                number = label.name.removeprefix("in").removesuffix("_label")
                yield chip / f"in{number}_input", chip / f"curr{number}_input"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
