"""What pruning, distillation and sparsity cost and bring, in Markdown.

    python bench/prune.py --work /tmp/prune                      every row
    python bench/prune.py --work /tmp/prune --rows sst2-60
    python bench/prune.py --work /tmp/prune --step make          all that needs no quiet machine
    python bench/prune.py --work /tmp/prune --step time          the times, from what is there

The models and data are those of a folder beside the checkout (EDGE_TX_SHARED names another), with
all-MiniLM-L6-v2 from its package. What the work folder already holds is not made again. Close
everything else that computes for the times: the graph of the model as it was and that of the
smaller one run in turns. Metrics are those of the graphs that are exported, not of torch. Each
model is made in a process of its own, so that its time and its memory are nobody else's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_tx.bench.prune_rows import CASES, ROWS, Limit, Setting
from edge_tx.bench.prune_work import Folder, cut, score, times


def _make(work: Folder, name: str) -> None:
    """Makes a row's model in a fresh process, then exports it and takes its metric in this one."""
    command = [sys.executable, __file__, "--work", str(work.root), "--rows", name, "--step", "cut"]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"{name} could not be made")
    score(work, name)


STEPS = {"cut": (cut,), "make": (_make,), "time": (times,), "all": (_make, times)}


def main() -> int:
    """Measures what is asked for and prints the table; 1 if a row misses its numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--step", choices=STEPS, default="all")
    args = parser.parse_args()
    shared = Path(os.environ.get("EDGE_TX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    work = Folder(args.work.resolve(), shared)
    names = args.rows.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        parser.error(f"no rows {', '.join(unknown)}; there are {', '.join(ROWS)}")
    for name in with_starts(names):
        for step in STEPS[args.step]:
            print(f"{name}: {step.__name__.strip('_')}", file=sys.stderr)
            step(work, name)
    if args.step == "cut":
        return 0
    found = work.found
    print(table({name: found[name] for name in names}))
    return int(any(missed(ROWS[name], found[name]) for name in names))


def with_starts(names: Iterable[str]) -> list[str]:
    """The rows, each after the one whose model it goes on with."""
    both = ((ROWS[name].start, name) for name in names)
    return list(dict.fromkeys(name for pair in both for name in pair if name))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one line for each row."""
    heads = ("model", "setting", "metric", "drop in points (allowed)", "times as fast (wanted)",
             "seconds (allowed)", "CPU seconds", "peak MB (allowed)")  # fmt: skip
    lines = [_line(heads), _line(["---"] * len(heads))]
    lines += [_line(_cells(ROWS[name], row)) for name, row in found.items()]
    return "\n".join(lines)


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(setting: Setting, row: Mapping[str, Any]) -> tuple[str, ...]:
    speeds = ", ".join(f"{k} {v:.2f}" for k, v in row.get("speedup", {}).items())
    limit = setting.limit if "seconds" in row else None
    return (
        CASES[setting.case].model or "all-MiniLM-L6-v2",
        setting.about,
        f"{100 * row['before']:.2f} to {100 * row['after']:.2f}",
        f"{_drop(row):.2f}{_in_brackets(setting.drop)}",
        f"{speeds}{_in_brackets(setting.speedup)}",
        _whole(row, "seconds") + _in_brackets(limit.seconds if limit else None),
        _whole(row, "cpu_seconds"),
        _whole(row, "peak_mb") + _in_brackets(limit.peak_mb if limit else None),
    )


def _in_brackets(wanted: float | None) -> str:
    return "" if wanted is None else f" ({wanted:g})"


def _whole(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.0f}" if name in row else ""


def _drop(row: Mapping[str, Any]) -> float:
    return 100 * float(row["before"] - row["after"])


def missed(setting: Setting, row: Mapping[str, Any]) -> bool:
    """Whether a number that was wanted is not there, or misses what it may be."""
    speeds = row.get("speedup", {}).values()
    return (
        (setting.drop is not None and _drop(row) > setting.drop + 1e-9)
        or (setting.speedup is not None and min(speeds, default=0.0) < setting.speedup)
        or (setting.limit is not None and _took_more(setting.limit, row))
    )


def _took_more(limit: Limit, row: Mapping[str, Any]) -> bool:
    seconds, peak_mb = (float(row.get(name, 0.0)) for name in ("seconds", "peak_mb"))
    return seconds > limit.seconds or peak_mb > limit.peak_mb


if __name__ == "__main__":
    sys.exit(main())
