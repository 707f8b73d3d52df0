"""Looks over this machine: the device, the backends, and what gets in their way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from edge_tx import backends, probing
from edge_tx.backends import Backend
from edge_tx.device import DeviceInfo
from edge_tx.doctor_tables import CLASHES, PAIRS, PROVIDERS, RELEASES

__all__ = [
    "BackendStatus",
    "Checkup",
    "ExtraStatus",
    "Finding",
    "backend_status",
    "clashes",
    "conflicts",
    "examine",
    "extra_status",
    "graphs_of",
    "installed",
    "jetson",
]

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
        sees: What the vendor's library itself finds here.
        problem: Why the library could not be asked; empty if it could, or is not here.
        fits: Releases of it, and where each runs.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    devices: tuple[str, ...]
    install: str
    sees: tuple[str, ...] = ()
    problem: str = ""
    fits: tuple[str, ...] = ()

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


def examine(bundle: str | Path | None = None) -> Checkup:
    """Looks over this machine. Vendors' libraries are asked in processes of their own.

    Args:
        bundle: A bundle whose graphs are held against what is installed; None for none.

    Raises:
        BundleError: The bundle cannot be opened.
    """
    device = DeviceInfo.probe()
    providers = {module: set(names) for module, names in metadata.packages_distributions().items()}
    rows = [row for row in backends.known().values() if not row.hidden]
    statuses = _asked(rows, [backend_status(row, providers) for row in rows])
    versions = installed()
    extras = tuple(extra_status(name, metadata.requires(_THIS) or ()) for name in ("export",))
    findings = (
        *_no_backend(statuses),
        *_silent(statuses),
        *conflicts(rows, providers),
        *clashes(versions),
        *_accelerators(statuses, device),
        *jetson(versions, device),
        *(graphs_of(bundle, versions) if bundle is not None else ()),
        *_tight_limits(device),
        *_export_tools(extras),
    )
    order = ("error", "warning", "note")
    ordered = tuple(sorted(findings, key=lambda finding: order.index(finding.level)))
    return Checkup(device, statuses, extras, ordered)


def installed() -> dict[str, str]:
    """Versions of all installed distributions, by name in lower case with hyphens."""
    found = ((d.metadata["Name"], d.version) for d in metadata.distributions())
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found if name}


def backend_status(row: Backend, providers: Mapping[str, Iterable[str]]) -> BackendStatus:
    """What is installed of a backend.

    Args:
        row: The backend.
        providers: Names of distributions by top-level module.
    """
    names = {name for module in row.modules for name in providers.get(_top(module), ())}
    packages = tuple(f"{name} {metadata.version(name)}" for name in sorted(names))
    fits = tuple(f"{r.version}: {r.fits}" for r in RELEASES if r.backend == row.name)
    return BackendStatus(row.name, row.title, packages, row.devices, row.install, fits=fits)


def _asked(rows: Sequence[Backend], statuses: Sequence[BackendStatus]) -> tuple[BackendStatus, ...]:
    """Adds what the vendors' libraries say."""
    probes = {row.name: row.probe for row in rows if row.probe and row.module is not None}
    answers = probing.ask_all(probes)
    told = (answers.get(status.name, probing.Answer()) for status in statuses)
    pairs = zip(statuses, told, strict=True)
    return tuple(replace(s, sees=answer.sees, problem=answer.problem) for s, answer in pairs)


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


def clashes(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Packages that get in each other's way.

    Args:
        versions: By distribution, see :func:`installed`.
    """
    for clash in CLASHES:
        one, other = versions.get(clash.one), versions.get(clash.other)
        if one and other and _numbers(other) >= _numbers(clash.least):
            what = f"{clash.what} (here: {clash.one} {one}, {clash.other} {other})"
            yield Finding(clash.level, what, clash.remedy)
    for pair in PAIRS:
        one, other = versions.get(pair.one), versions.get(pair.other)
        if one and other and one != other:
            yield Finding(
                "error",
                f"{pair.one} {one} does not go with {pair.other} {other}",
                f"pip install {pair.one}=={other}",
            )


def jetson(versions: Mapping[str, str], device: DeviceInfo) -> Iterator[Finding]:
    """Whether TensorRT is the release that this Jetson's JetPack brings."""
    drivers = [a.driver.removeprefix("L4T ") for a in device.accelerators if "L4T" in a.driver]
    for release in RELEASES:
        here = versions.get(release.backend.replace("_", "-"))
        brings = release.l4t and any(d.startswith(release.l4t) for d in drivers)
        if here and brings and not f"{here}.".startswith(f"{release.version}."):
            yield Finding(
                "warning",
                f"{release.backend} {here} is not the {release.version} of this {release.fits}",
                "pip uninstall tensorrt, then apt install python3-libnvinfer",
            )


def graphs_of(path: str | Path, versions: Mapping[str, str]) -> Iterator[Finding]:
    """What stands in the way of a bundle's graphs.

    Args:
        path: The bundle.
        versions: By distribution, see :func:`installed`.

    Raises:
        BundleError: It cannot be opened.
    """
    from edge_tx.bundle import Bundle

    with Bundle.open(path) as bundle:
        for graph in bundle.graphs:
            row = backends.known().get(graph.backend)
            if row is None or row.module is None:
                install = row.install if row else "install the plug-in it is from"
                yield Finding("note", f"graph {graph.name} cannot run here", install)
                continue
            for package in (m.replace("_", "-") for m in row.modules):
                wrote, here = graph.tools.get(package, ""), versions.get(package, "")
                if wrote and here and _numbers(here) < _numbers(wrote):
                    what = f"{package} {here} is older than the {wrote} that wrote {graph.name}"
                    yield Finding("warning", what, f"pip install -U {package}")


def _silent(statuses: Iterable[BackendStatus]) -> Iterator[Finding]:
    for status in statuses:
        if status.problem:
            what = f"{status.title} is installed, but its library {_said(status.problem)}"
            yield Finding("error", what, f"install it again: {status.install}")


def _said(problem: str) -> str:
    return problem if problem.startswith(("gave", "crashed", "ended")) else f"says: {problem}"


def _accelerators(statuses: Iterable[BackendStatus], device: DeviceInfo) -> Iterator[Finding]:
    vendors = {accelerator.vendor for accelerator in device.accelerators}
    onnx = next((s for s in statuses if s.name == "onnx" and s.sees), None)
    for provider in PROVIDERS if onnx is not None else ():
        has = onnx is not None and provider.name in onnx.sees
        if has and provider.vendor not in vendors:
            what = f"onnxruntime has {provider.name}, but no {provider.vendor} GPU was found"
            yield Finding("note", what, f"--device {provider.device} will be an error")
        if not has and provider.vendor in vendors:
            what = f"this onnxruntime has no {provider.name} for the {provider.vendor} GPU here"
            yield Finding("note", what, provider.install)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2026.4.1-abc`` is (2026, 4, 1)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


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
