"""Asks a vendor's library what it sees, in a process of its own.

A driver that does not fit can crash or hang the process that loads it; then the answer says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edge_tx.backends import resolve

__all__ = ["PATIENCE_S", "Answer", "ask", "ask_all"]

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor's library said.

    Attributes:
        sees: Devices, or what the vendor calls them, one entry each.
        problem: Why it said nothing; empty if it did.
    """

    sees: tuple[str, ...] = ()
    problem: str = ""


def ask_all(probes: Mapping[str, str], patience_s: float = PATIENCE_S) -> dict[str, Answer]:
    """Asks several at the same time.

    Args:
        probes: ``"module:function"`` by name, see :attr:`edge_tx.backends.Backend.probe`.
        patience_s: Seconds to wait for each.
    """
    if not probes:
        return {}
    with ThreadPoolExecutor(len(probes)) as pool:
        answers = pool.map(lambda probe: ask(probe, patience_s), probes.values())
        return dict(zip(probes, answers, strict=True))


def ask(probe: str, patience_s: float = PATIENCE_S) -> Answer:
    """Asks one. Never raises for what the vendor does.

    Args:
        probe: ``"module:function"``.
        patience_s: Seconds to wait.
    """
    command = [sys.executable, "-m", "edge_tx.probing", probe]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience_s, check=False)
    except subprocess.TimeoutExpired:
        return Answer(problem=f"gave no answer in {patience_s:g} s")
    if done.returncode < 0:
        return Answer(problem=f"crashed (signal {-done.returncode})")
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode > 0:
        return Answer(problem=lines[-1][:200] if lines else f"ended with code {done.returncode}")
    try:
        return Answer(tuple(str(line) for line in json.loads(done.stdout)))
    except (ValueError, TypeError):
        return Answer(problem="gave an answer that cannot be read")


def main() -> None:
    """Prints what the probe on the command line sees, as a JSON list."""
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print; the answer stands alone
    try:
        found = list(resolve(sys.argv[1])())
    except Exception as exc:  # noqa: BLE001 - whatever a broken installation raises
        sys.exit(f"{type(exc).__name__}: {' '.join(str(exc).split())}")
    os.write(out, json.dumps(found).encode())


if __name__ == "__main__":
    main()
