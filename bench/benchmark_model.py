"""What LiteRT's ``benchmark_model`` prints, read.

The tool times a ``.tflite`` file on random inputs: warm-up runs, then timed ones. It keeps no
samples, only sums: so no percentile that it does not print can be had from it. Its format is
that of ``benchmark_model.cc`` and ``stats_calculator.h`` in TensorFlow; the percentiles are
printed by releases of 2025 and later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_tx.errors import SessionFailed

__all__ = ["Runs", "Timing", "parse", "signatures"]

# Printed bare, behind "INFO: ", or behind logcat's date, process and tag.
_NUMBER = r"[0-9.]+(?:e[+-]?[0-9]+)?"
_RUNS = re.compile(r"\bcount=([0-9]+)((?: [a-z0-9]+=" + _NUMBER + r"(?:\(all same\))?)*)")
_FIELD = re.compile(r"([a-z0-9]+)=(" + _NUMBER + ")")
_TIMINGS = re.compile(
    r"Inference timings in us: Init: (?P<init>N), First inference: (?P<first>N), "
    r"Warmup \(avg\): (?P<warm_up>N), Inference \(avg\): (?P<mean>N)".replace("N", _NUMBER)
)
_MEMORY = re.compile(
    rf"(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): "
    rf"init=(?P<init>{_NUMBER}) overall=(?P<overall>{_NUMBER})"
)
_DELEGATED = re.compile(r"Replacing ([0-9]+) out of ([0-9]+) node\(s\) with delegate \((\w+)\)")
_SIGNATURE = re.compile(r"#> Signature key: (\S+)")
_THREADS = re.compile(r"#threads used for CPU inference: \[([0-9]+)\]")
_FAILED = re.compile(r"(?:ERROR: |Benchmarking failed|Failed to |\berror: ).*")


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one kind, in nanoseconds. None where the tool prints no such number.

    Attributes:
        count: Runs.
        first_ns: The first one.
        mean_ns: Arithmetic mean.
        min_ns: The fastest.
        max_ns: The slowest.
        p50_ns: Median, by releases that print it.
        p95_ns: As above.
    """

    count: int
    first_ns: int
    mean_ns: int
    min_ns: int
    max_ns: int
    p50_ns: int | None = None
    p95_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """What the tool measured.

    Attributes:
        load_ns: From the file to an interpreter with its tensors.
        warm_up: Runs before the timed ones; its first one is the first of all.
        timed: The timed runs.
        memory_bytes: Growth of the tool's own memory over the whole run; None if not printed.
        threads: CPU threads; None if not printed.
        delegated: Which share of the nodes a delegate took: ``"539 of 548 nodes by
            TfLiteXNNPackDelegate"``; empty if none did.
    """

    load_ns: int
    warm_up: Runs
    timed: Runs
    memory_bytes: int | None = None
    threads: int | None = None
    delegated: str = ""


def signatures(text: str) -> tuple[str, ...]:
    """The signatures that the tool asks to choose from; empty if it did not ask."""
    return tuple(dict.fromkeys(_SIGNATURE.findall(text)))


def parse(text: str) -> Timing:
    """Reads the tool's output.

    Raises:
        SessionFailed: It holds no result; says the tool's own reason if there is one.
    """
    total = _TIMINGS.search(text)
    kinds = [runs for found in _RUNS.finditer(text) if (runs := _runs(found)) is not None]
    if total is None or len(kinds) < 2:
        failure = _FAILED.findall(text)
        why = " ".join(failure[-1].split())[:200] if failure else "it ended early"
        raise SessionFailed(f"benchmark_model gave no result: {why}")
    memory, threads = _MEMORY.search(text), _THREADS.search(text)
    return Timing(
        load_ns=_ns(total["init"]),
        warm_up=kinds[-2],
        timed=kinds[-1],
        memory_bytes=round(float(memory["overall"]) * 1024 * 1024) if memory else None,
        threads=int(threads[1]) if threads else None,
        delegated="; ".join("{} of {} nodes by {}".format(*d) for d in _DELEGATED.findall(text)),
    )


def _runs(found: re.Match[str]) -> Runs | None:
    """One line of statistics; a single run, or runs all the same, have ``curr`` alone."""
    fields = {name: _ns(value) for name, value in _FIELD.findall(found[2])}
    if "curr" not in fields:  # "count=0": a dry run
        return None
    only = fields["curr"]
    return Runs(
        count=int(found[1]),
        first_ns=fields.get("first", only),
        mean_ns=fields.get("avg", only),
        min_ns=fields.get("min", only),
        max_ns=fields.get("max", only),
        p50_ns=fields.get("median"),
        p95_ns=fields.get("p95"),
    )


def _ns(microseconds: str) -> int:
    return round(float(microseconds) * 1000)
