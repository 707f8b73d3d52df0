"""The context of a report: versions, settings, and what cannot be measured here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edge_tx import backends
from edge_tx.bench import clock, energy, gpu
from edge_tx.bench.conditions import why_not
from edge_tx.bench.plan import Plan
from edge_tx.bench.reference import REFERENCES
from edge_tx.device import DeviceInfo
from edge_tx.report import Conditions, Noise, ReportRow
from edge_tx.undisturbed import RULE

__all__ = ["data", "remarks", "settings", "unmeasured", "versions"]


def versions(rows: Sequence[ReportRow]) -> dict[str, str]:
    """Versions of what runs the rows; what is not installed is left out."""
    modules = {module for row in rows for module in _modules(row.backend)}
    packages = ["edge-tx", "numpy", "tokenizers", *sorted(modules - {"numpy"})]
    found = {package: _version(package.replace("_", "-")) for package in packages}
    return {package: number for package, number in found.items() if number}


def _modules(backend: str) -> tuple[str, ...]:
    if backend in REFERENCES:
        return REFERENCES[backend].modules
    row = backends.known().get(backend)
    return row.modules if row else ()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def settings(plan: Plan, device: DeviceInfo) -> dict[str, Any]:
    """What was chosen, and the rules that it was measured by."""
    axes = plan.axes
    return {
        "seconds": plan.seconds,
        "min_calls": plan.min_calls,
        "threads": list(axes.threads or (device.cpu.usable_threads,)),
        "batch": list(axes.batch),
        "seq": list(axes.seq),
        "device": plan.device,
        "seed": plan.seed,
        "repeats": plan.repeats,
        "reference": plan.reference,
        "scenarios": list(plan.scenarios),
        "rate": plan.rate or None,
        "sustain_seconds": plan.sustain_ns / 1e9 or None,
        "max_memory_bytes": plan.max_memory_bytes or None,
        "warm_up": clock.RULE,
        "undisturbed": RULE,
    }


def data(plan: Plan, rows: Sequence[ReportRow]) -> dict[str, Any]:
    """What accuracy was measured on, by which metrics, and who chose them."""
    if not plan.data:
        return {}
    used = list(dict.fromkeys(name for row in rows for name in row.accuracy))
    chosen = "as asked for" if plan.metrics else "the usual one for these labels" if used else ""
    return {"path": plan.data, "metrics": list(plan.metrics) or used, "chosen": chosen}


def unmeasured(conditions: Conditions) -> Mapping[str, str]:
    """What cannot be measured here, and why."""
    reasons = {"GPU memory": gpu.why_not(), "energy": energy.why_not()}
    return {name: why for name, why in reasons.items() if why} | why_not(conditions)


def remarks(rows: Sequence[ReportRow], noise: Noise | None) -> tuple[str, ...]:
    """What a reader must know about the rows as a whole."""
    return tuple(_remarks(rows, noise))


def _remarks(rows: Sequence[ReportRow], noise: Noise | None) -> Iterator[str]:
    unsteady = [row.label for row in rows if row.steady is False]
    if unsteady:
        more = f" and {len(unsteady) - 1} more" if len(unsteady) > 1 else ""
        yield f"timing never became steady: {unsteady[0]}{more}"
    few = [row for row in rows if row.latency and row.latency.count < 1000]
    if few:
        least = min(row.latency.count for row in few if row.latency)
        yield (
            f"{len(few)} of {len(rows)} rows have fewer than 1,000 samples (the least {least}): "
            "their p99.9 is their slowest call"
        )
    if noise is None and any(row.status == "ok" for row in rows):
        yield "no cell was measured again: the noise is not known"
