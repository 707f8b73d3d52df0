"""``edge-tx doctor``: the device, the backends, and what gets in their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli.screen import Screen, facts, human_bytes, output_options
from edge_tx.errors import MissingDependency

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from edge_tx.device import DeviceInfo
    from edge_tx.doctor import BackendStatus, Finding

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}

# Columns that names take: tables of one page line up.
_NAMES = 12


@click.command("doctor")
@click.argument("bundle", type=click.Path(), required=False)
@output_options
def command(bundle: str | None, screen: Screen) -> int:
    """Look over this device and the installed backends.

    With a BUNDLE its graphs are held against what is installed, too. Exits with 3 if something
    stops work: no backend is installed, one does not load, or two packages overwrite each other.
    """
    from edge_tx.doctor import examine

    checkup = examine(bundle)
    screen.result(
        checkup.to_dict(),
        facts(_device(checkup.device), _NAMES),
        *(part for status in checkup.backends for part in _backend(status)),
        "",
        *map(_finding, checkup.findings),
    )
    return 0 if checkup.healthy else MissingDependency.exit_code


def _device(device: DeviceInfo) -> dict[str, object]:
    cpu = device.cpu
    quota = "" if cpu.quota is None else f", quota {cpu.quota:g} CPUs"
    limit = device.memory_limit_bytes
    return {
        "machine": device.machine,
        "system": f"{device.system} ({device.architecture}), Python {device.python}",
        "processor": cpu.model,
        "cores": f"{cpu.physical_cores} cores, {cpu.logical_cores} hardware threads{quota}",
        "threads used": cpu.usable_threads,
        "instructions": " ".join(cpu.instruction_sets),
        "memory": human_bytes(device.memory_bytes) if device.memory_bytes else "",
        "memory limit": human_bytes(limit) if limit is not None else "",
        "accelerators": "\n".join(
            f"{a.name} {a.driver}".strip() for a in device.accelerators
        ) or "none found",
    }  # fmt: skip


def _backend(status: BackendStatus) -> list[RenderableType]:
    from rich.text import Text

    about = {
        "installed": ", ".join(status.packages) or f"no: {status.install}",
        "sees": "\n".join(status.sees) or status.problem,
        "--device": ", ".join(status.devices),
        "releases": "\n".join(status.fits),
    }
    return ["", Text.assemble((status.title, "bold"), f"  {status.name}"), facts(about, _NAMES)]


def _finding(finding: Finding) -> Text:
    from rich.text import Text

    remedy = f": {finding.remedy}" if finding.remedy else ""
    return Text.assemble((f"{finding.level}: ", _STYLES[finding.level]), f"{finding.what}{remedy}")
