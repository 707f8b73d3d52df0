"""A cell's thread budget, as it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.report import ThreadBudget

if TYPE_CHECKING:
    from edge_tx.runtimes.model import Model

__all__ = ["overdrawn", "read_back"]

_TASKS = Path("/proc/self/task")
# CPU time is counted in ticks, and the interpreter itself takes a little beside the runtime.
_SLACK = 0.1


def read_back(model: Model, cpus: int | None, busy: float) -> ThreadBudget:
    """The threads of this process.

    Args:
        model: Open.
        cpus: Hardware threads that the process is bound to; None if it is not.
        busy: CPU time per wall time of the timed calls.
    """
    tasks = len(list(_TASKS.iterdir())) if _TASKS.is_dir() else None
    placement = model.describe().placement
    return ThreadBudget(cpus, placement.threads, tasks, round(busy, 3))


def overdrawn(budget: ThreadBudget, threads: int) -> str:
    """Says that a cell used more than its threads; empty if it did not."""
    if budget.vendor > threads:
        return f"the runtime says it uses {budget.vendor} threads, not {threads}"
    if budget.busy > threads + _SLACK:
        return f"kept {budget.busy:.1f} cores busy with a budget of {threads}"
    return ""
