"""What every peer is measured by, inside the peer's own process.

Only the standard library until the peer is loaded: its imports are a part of its load time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

# Embeds one text, and embeds a list, each as the peer's own documentation does it.
One = Callable[[str], Any]
Many = Callable[[list[str]], Any]

_WARM_UP_CALLS = 30
_LEAST_CALLS = 100


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        model: Folder or bundle to load.
        variant: Which of the peer's backends, or which graph.
        threads: CPU threads.
        work: JSON file with the single text and the list.
        vectors: Where the list's embeddings are saved, to be compared.
        seconds: Time to spend on single calls at least.
    """

    model: str
    variant: str
    threads: int
    work: str
    vectors: str
    seconds: float


def main(load: Callable[[Job], tuple[One, Many]], packages: tuple[str, ...]) -> None:
    """Loads the peer, measures it, and prints the numbers as JSON."""
    job = Job(**json.loads(sys.argv[1]))
    one, many = load(job)
    loaded = time.monotonic_ns() - int(os.environ["PEER_STARTED_NS"])

    work = json.loads(Path(job.work).read_text(encoding="utf-8"))
    first = _timed(lambda: one(work["one"]))
    samples = _samples(lambda: one(work["one"]), job.seconds)
    many(work["many"][::2])  # opens what a peer opens for lists, and warms it up
    # The peak before embeddings are copied for saving, which is not the peer's doing.
    spent, vectors = _timed_answer(lambda: many(work["many"]))
    peak = peak_bytes()
    alone = one(work["many"][0])

    import numpy as np

    np.save(job.vectors, np.vstack([np.asarray(alone, np.float32)[None], vectors]))
    found = {
        "load_ns": loaded,
        "first_ns": first,
        "samples_ns": samples,
        "p50_ns": int(median(samples)),
        "per_second": len(work["many"]) / (spent / 1e9),
        "peak_bytes": peak,
        "versions": {name: number for name in packages if (number := _version(name))},
    }
    print(json.dumps(found))


def peak_bytes() -> int:
    """The most memory this process ever had: VmHWM, as ru_maxrss holds the parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _samples(call: Callable[[], Any], seconds: float) -> list[int]:
    for _ in range(_WARM_UP_CALLS):
        call()
    samples: list[int] = []
    while len(samples) < _LEAST_CALLS or sum(samples) < seconds * 1e9:
        samples.append(_timed(call))
    return samples


def _timed(call: Callable[[], Any]) -> int:
    return _timed_answer(call)[0]


def _timed_answer(call: Callable[[], Any]) -> tuple[int, Any]:
    start = time.perf_counter_ns()
    answer = call()
    return time.perf_counter_ns() - start, answer


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
