"""Cells in fresh processes, and what became of those that did not end well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from signal import SIGKILL, Signals
from typing import Any

from edge_tx.bench.cell import Cell
from edge_tx.bench.failures import Failed, failed
from edge_tx.bench.measured import Measured
from edge_tx.cgroup import oom_kills
from edge_tx.errors import SessionFailed
from edge_tx.strict_json import Reader

__all__ = ["in_fresh_process"]

# A cell may take this much longer than the time it is asked to spend, for loading and warm-up.
_PATIENCE_S = 600
_PARTS = 5  # calls, lists, phases, and what is in between
_TRIAL_PARTS = 120


def in_fresh_process(
    cell: Cell, count_kills: Callable[[], int | None] = oom_kills
) -> Measured | Failed:
    """Measures a cell in a process of its own.

    Args:
        cell: What to measure.
        count_kills: How many processes were killed for memory so far; None if unknown.
    """
    kills = count_kills()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge_tx.bench.cell"],
            input=json.dumps(asdict(cell)),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_patience(cell),
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        return Failed(f"gave no answer in {exc.timeout:.0f} s", "timeout")
    if done.returncode != 0:
        return _last_words(done, cell.max_memory_bytes, kills != count_kills())
    answer = _answer(done.stdout)
    if "error" in answer:
        return Failed(str(answer["error"]), str(answer.get("failure", "error")))
    return read_measured(answer)


def read_measured(answer: Mapping[str, Any]) -> Measured:
    """Reads what a cell's process wrote."""
    return Reader("cell", SessionFailed).read(Measured, answer)


def _patience(cell: Cell) -> float:
    parts = _PARTS + 2 * len(cell.also) + _TRIAL_PARTS * len(cell.trials)
    return _PATIENCE_S + (parts * cell.min_ns + cell.sustain_ns) / 1e9


def _last_words(
    done: subprocess.CompletedProcess[str], max_memory_bytes: int, oom_killed: bool
) -> Failed:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    # A native library that cannot go on says why some lines before the end, and aborts.
    for line in reversed(lines):
        said = failed(line, max_memory_bytes)
        if said.kind == "out-of-memory":
            return said
    if oom_killed and done.returncode == -SIGKILL:
        return Failed("the kernel killed it: its control group ran out of memory", "out-of-memory")
    if done.returncode < 0:
        words = f"the process was killed by {_signal(-done.returncode)}"
        return failed(words, max_memory_bytes, "killed")
    last = lines[-1] if lines else "no message"
    words = f"the process ended with exit code {done.returncode}: {last}"
    return failed(words, max_memory_bytes)


def _signal(number: int) -> str:
    try:
        return f"{Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"


def _answer(text: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": "the process gave no answer"}
