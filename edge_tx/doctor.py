"""Looks over this machine: the device, the backends, and what gets in their way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

from edge_tx import backends
from edge_tx.backends import Backend
from edge_tx.device import DeviceInfo

__all__ = ["BackendStatus", "Checkup", "ExtraStatus", "Finding", "examine"]

_THIS = "edge-tx"


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """A backend on this machine.

    Attributes:
        name: Of its row.
        title: What reports print.
        packages: Installed distributions that provide it, as ``"name version"``.
        devices: Devices it can be asked for.
        install: The command that installs it.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    devices: tuple[str, ...]
    install: str

    @property
    def installed(self) -> bool:
        """Whether its graphs can run here."""
        return bool(self.packages)


@dataclass(frozen=True, slots=True)
class ExtraStatus:
    """An optional part of edge_tx.

    Attributes:
        name: Of the extra, e.g. ``"export"``.
        packages: Its distributions that are installed, as ``"name version"``.
        missing: Those that are not.
        install: The command that installs it.
    """

    name: str
    packages: tuple[str, ...]
    missing: tuple[str, ...]
    install: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the user should know.

    Attributes:
        level: ``"error"`` stops work, ``"warning"`` may mislead, ``"note"`` only informs.
        what: What was found.
        remedy: What to do about it.
    """

    level: Literal["error", "warning", "note"]
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found.

    Attributes:
        device: The machine.
        backends: One entry per row of the table of backends, those for tests left out.
        extras: The optional parts of edge_tx.
        findings: Errors first, then warnings, then notes.
    """

    device: DeviceInfo
    backends: tuple[BackendStatus, ...]
    extras: tuple[ExtraStatus, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing stops work."""
        return all(finding.level != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that :mod:`json` can write."""
        return asdict(self) | {"device": self.device.to_dict(), "healthy": self.healthy}


def examine() -> Checkup:
    """Looks over this machine without importing any vendor's package."""
    device = DeviceInfo.probe()
    providers = {module: set(names) for module, names in metadata.packages_distributions().items()}
    rows = [row for row in backends.known().values() if not row.hidden]
    statuses = tuple(backend_status(row, providers) for row in rows)
    extras = tuple(extra_status(name, metadata.requires(_THIS) or ()) for name in ("export",))
    findings = (
        *_no_backend(statuses),
        *conflicts(rows, providers),
        *_tight_limits(device),
        *_export_tools(extras),
    )
    return Checkup(device, statuses, extras, findings)


def backend_status(row: Backend, providers: Mapping[str, Iterable[str]]) -> BackendStatus:
    """What is installed of a backend.

    Args:
        row: The backend.
        providers: Names of distributions by top-level module.
    """
    names = {name for module in row.modules for name in providers.get(_top(module), ())}
    packages = tuple(f"{name} {metadata.version(name)}" for name in sorted(names))
    return BackendStatus(row.name, row.title, packages, row.devices, row.install)


def extra_status(name: str, requirements: Sequence[str]) -> ExtraStatus:
    """What is installed of an extra.

    Args:
        name: Of the extra.
        requirements: edge_tx' own, as its metadata lists them.
    """
    marked = re.compile(rf"""extra\s*==\s*['"]{re.escape(name)}['"]""")
    wanted = [re.split(r"[^\w.-]", line)[0] for line in requirements if marked.search(line)]
    versions = {package: _version(package) for package in sorted(wanted)}
    return ExtraStatus(
        name=name,
        packages=tuple(f"{p} {v}" for p, v in versions.items() if v),
        missing=tuple(p for p, v in versions.items() if not v),
        install=f"pip install '{_THIS}[{name}]'",
    )


def conflicts(rows: Iterable[Backend], providers: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Backends whose module several distributions bring: each overwrites the other's files."""
    for row in rows:
        for module in row.modules:
            names = sorted(providers.get(_top(module), ()))
            if len(names) > 1:
                yield Finding(
                    "error",
                    f"{' and '.join(names)} both install the module '{module}', "
                    "and which one runs is chance",
                    f"pip uninstall -y {' '.join(names)}, then install the one you want",
                )


def _no_backend(statuses: Iterable[BackendStatus]) -> Iterator[Finding]:
    if not any(status.installed for status in statuses):
        first = next(iter(statuses))
        yield Finding("error", "no backend is installed: nothing can run", first.install)


def _tight_limits(device: DeviceInfo) -> Iterator[Finding]:
    cpu = device.cpu
    if cpu.quota is not None and cpu.quota < cpu.physical_cores:
        yield Finding(
            "note",
            f"a quota allows {cpu.quota:g} of {cpu.physical_cores} cores: "
            f"graphs use {cpu.usable_threads} thread{'s' * (cpu.usable_threads > 1)}",
        )
    limit = device.memory_limit_bytes
    if limit is not None and limit < device.memory_bytes:
        yield Finding(
            "note", f"a limit allows {limit / 1e9:.1f} of {device.memory_bytes / 1e9:.1f} GB"
        )


def _export_tools(extras: Iterable[ExtraStatus]) -> Iterator[Finding]:
    for extra in extras:
        if extra.missing:
            yield Finding("note", f"edge-tx {extra.name} cannot run here", extra.install)
        else:
            yield Finding(
                "note", f"the '{extra.name}' extra is installed; running a bundle loads none of it"
            )


def _top(module: str) -> str:
    return module.partition(".")[0]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
