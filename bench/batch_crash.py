"""Kills a batch job again and again, and compares what it leaves with an undisturbed run's.

    python bench/batch_crash.py BUNDLE INPUT --work DIR --kills 200

Each life of the job is a process that gets SIGKILL at a random moment, from its first instant on.
When all kills are spent the job runs to its end. Every output file must then be the undisturbed
run's, byte for byte; a job that ended before is compared, and another is begun.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_tx.runtimes.batch_store import JOURNAL, REPORT

__all__ = ["Outcome", "crash", "fingerprints"]

# What differs between two runs that did the same: times, and what became of earlier lives.
_TOLD = {JOURNAL, REPORT}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the kills did.

    Attributes:
        kills: Processes that were killed while they ran.
        jobs: Jobs that were begun.
        files: Output files of a job.
        different: Files that differ from the undisturbed run's, over all jobs.
        advanced: Lives that left more finished files than they found.
    """

    kills: int
    jobs: int
    files: int
    different: tuple[str, ...]
    advanced: int


def crash(
    command: Sequence[str], work: Path, kills: int, seed: int = 0, life: float | None = None
) -> Outcome:
    """Runs a job undisturbed, and then over and over with kills.

    Args:
        command: Of the job, without ``-o``.
        work: Folder for the outputs.
        kills: How many.
        seed: Of the moments.
        life: Most seconds of a process; by default what the undisturbed run takes. A short one
            spends more kills on one job.

    Raises:
        subprocess.CalledProcessError: An undisturbed run fails.
    """
    shutil.rmtree(work, ignore_errors=True)
    calm = work / "calm"
    began = time.perf_counter()
    subprocess.run([*command, "-o", str(calm)], check=True, capture_output=True)
    whole = time.perf_counter() - began
    expected = fingerprints(calm)
    moments = random.Random(seed)  # noqa: S311 - reproducible, not secret
    done = jobs = advanced = 0
    different: list[str] = []
    while done < kills:
        output = work / f"job-{jobs}"
        jobs += 1
        ended = False
        while done < kills and not ended:
            before = len(list(output.glob("part-*")))
            ended = _live(command, output, moments.uniform(0, life or whole))
            advanced += len(list(output.glob("part-*"))) > before
            done += not ended
        subprocess.run([*command, "-o", str(output)], check=True, capture_output=True)
        different += [
            f"{output.name}/{name}" for name in _different(fingerprints(output), expected)
        ]
    return Outcome(done, jobs, len(expected), tuple(different), advanced)


def fingerprints(folder: Path) -> dict[str, str]:
    """Hashes of the output files, by name; what tells of the run itself is left out."""
    files = (path for path in sorted(folder.iterdir()) if path.name not in _TOLD)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _live(command: Sequence[str], output: Path, seconds: float) -> bool:
    """One life of the job; gives whether it ended by itself before its time was over."""
    process = subprocess.Popen(
        [*command, "-o", str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def _different(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def main() -> int:
    """The command line above; exits with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("input")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--shard-rows", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--life", type=float)
    args = parser.parse_args()
    command = [sys.executable, "-m", "edge_tx", "batch", args.bundle, args.input, "-q"]
    command += ["--shard-rows", str(args.shard_rows)]
    outcome = crash(command, args.work, args.kills, args.seed, args.life)
    print(json.dumps(asdict(outcome), indent=2))
    return 1 if outcome.different else 0


if __name__ == "__main__":
    sys.exit(main())
