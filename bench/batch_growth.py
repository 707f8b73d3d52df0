"""How much more memory a batch job takes for a long input than for a short one.

    python bench/batch_growth.py BUNDLE --work DIR --graph onnx-dynamic_w8

Two jobs in processes of their own, over 10,000 rows and over 1,000,000 that begin with the same
ones: short texts, no two alike. The peak is the kernel's (``ru_maxrss``); beside it stands how much
was resident on average in the first and in the last quarter of the time, which tells a peak from a
leak. Exits with 1 if the long job's peak is more than ``--allow`` MB above the short one's.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Growth", "measure", "write_rows"]

_BEGINNINGS = ("ba", "co", "di", "fu", "ga", "ho", "ji", "ku", "la", "mo")
_ENDS = ("ni", "pu", "ra", "so", "ti", "vu", "wa", "xo", "yi", "zu")
# Three words of a hundred name a million rows.
_WORDS = [first + second for first in _BEGINNINGS for second in _ENDS]
_SPREAD = 618_033  # shares no factor with a million: all products differ modulo it
_MOST_ROWS = len(_WORDS) ** 3
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory of one job, in bytes.

    Attributes:
        rows: Of its input.
        peak: Most that was resident.
        early: Resident on average in the first quarter of its time.
        late: In the last quarter.
        seconds: From start to end, the interpreter's start included.
    """

    rows: int
    peak: int
    early: int
    late: int
    seconds: float


def write_rows(path: Path, rows: int) -> None:
    """Writes texts of three to six words, no two alike; a longer file begins with a shorter one's.

    Raises:
        ValueError: More rows than there are texts.
    """
    if rows > _MOST_ROWS:
        raise ValueError(f"at most {_MOST_ROWS:,} rows can be told apart, not {rows:,}")
    chosen = random.Random(0)  # noqa: S311 - reproducible, not secret
    base = len(_WORDS)
    with path.open("w", encoding="utf-8") as file:
        for index in range(rows):
            number = index * _SPREAD % _MOST_ROWS
            words = [_WORDS[number // base**place % base] for place in range(3)]
            words += chosen.choices(_WORDS, k=chosen.randrange(4))
            file.write(" ".join(words) + "\n")


def measure(command: Sequence[str], rows: int) -> Growth:
    """Runs a job and looks at its memory.

    Raises:
        SystemExit: The job fails.
    """
    began = time.perf_counter()
    looks: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while True:
            # wait4 alone tells this child's peak from those of others.
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            looks.append(_resident(process.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the job over {rows:,} rows failed with {process.returncode}")
    quarter = max(len(looks) // 4, 1)
    return Growth(
        rows=rows,
        peak=usage.ru_maxrss * 1024,
        early=round(statistics.fmean(looks[:quarter])),
        late=round(statistics.fmean(looks[-quarter:])),
        seconds=time.perf_counter() - began,
    )


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1:2]
    return int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def main() -> int:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--graph")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--allow", type=float, default=30.0, metavar="MB")
    args = parser.parse_args()
    command = [sys.executable, "-m", "edge_tx", "batch", args.bundle]
    options = ["-q", *(["--graph", args.graph] if args.graph else [])]
    args.work.mkdir(parents=True, exist_ok=True)
    found = []
    for rows in args.rows:
        source, output = args.work / f"{rows}.txt", args.work / f"{rows}.out"
        write_rows(source, rows)
        shutil.rmtree(output, ignore_errors=True)
        growth = measure([*command, str(source), "-o", str(output), *options], rows)
        found.append(growth)
        print(
            f"{rows:>9,} rows  {growth.seconds:7.1f} s  peak {growth.peak / 1e6:6.1f} MB  "
            f"first quarter {growth.early / 1e6:6.1f} MB  last {growth.late / 1e6:6.1f} MB",
            flush=True,
        )
    more = (found[-1].peak - found[0].peak) / 1e6
    print(f"{more:.1f} MB more for {found[-1].rows:,} rows than for {found[0].rows:,}")
    return 1 if more > args.allow else 0


if __name__ == "__main__":
    sys.exit(main())
