"""What a cell gave, as a row of the report."""

from __future__ import annotations

from dataclasses import replace

from edge_tx.bench.budget import overdrawn
from edge_tx.bench.cell import Cell
from edge_tx.bench.failures import Failed
from edge_tx.bench.measured import Measured
from edge_tx.report import ReportRow, Surroundings
from edge_tx.stats import LatencyStats, throughput

__all__ = ["row_of"]


def row_of(
    row: ReportRow, cell: Cell, answer: Measured | Failed, surroundings: Surroundings
) -> ReportRow:
    """Fills a row in.

    Args:
        row: With what was known before.
        cell: What was to be measured.
        answer: What came of it.
        surroundings: What else went on.
    """
    row = replace(row, surroundings=surroundings)
    if isinstance(answer, Failed):
        return replace(row, status="failed", failure=answer.kind, note=answer.note)
    samples, answers = answer.samples_ns, len(answer.samples_ns) * cell.batch
    return replace(
        row,
        device=str(answer.placement.get("device", "")),
        provider=str(answer.placement.get("provider", "")),
        accuracy=answer.accuracy,
        load_ns=answer.load_ns,
        first_answer_ns=answer.first_ns,
        warm_up_calls=answer.warm_up_calls,
        steady=answer.steady,
        latency=LatencyStats.of(samples),
        phases=answer.phases,
        throughput=throughput(answers, sum(samples)),
        list_throughput=throughput(answer.list_inputs, answer.list_ns) if answer.list_ns else None,
        cpu_ns_per_answer=round(answer.cpu_ns / answers),
        memory=answer.memory,
        energy=answer.energy,
        budget=answer.budget,
        scenarios=answer.scenarios,
        sustained=answer.sustained,
        inputs=answer.inputs,
        samples_ns=samples,
        stretches=answer.stretches,
        note=overdrawn(answer.budget, cell.threads),
    )
