"""Runs a sweep, each cell in a fresh process, and gathers a report."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from edge_tx.bench import facts
from edge_tx.bench.cell import Cell
from edge_tx.bench.cells import Job, jobs_of, open_all
from edge_tx.bench.conditions import Watch, read_conditions
from edge_tx.bench.failures import Failed
from edge_tx.bench.measured import Measured
from edge_tx.bench.noise import noise_of
from edge_tx.bench.plan import Plan, Subject
from edge_tx.bench.process import in_fresh_process
from edge_tx.bench.rows import row_of
from edge_tx.device import DeviceInfo
from edge_tx.report import Report, ReportContext, ReportRow, Stretch, Surroundings
from edge_tx.strict_json import encode
from edge_tx.undisturbed import floor_among, measurements, settled

__all__ = ["INTERRUPTED", "Measure", "Plan", "Progress", "Subject", "run"]

INTERRUPTED = "interrupted before it was measured"
"""Note of a row whose turn never came."""

MORE_TURNS = 2
"""Times that a cell may be measured again of which less than half was undisturbed."""

Progress = Callable[[str, int, int], None]

Measure = Callable[[Cell], "Measured | Failed"]
"""What measures a cell: a fresh process, unless a test says otherwise."""


@dataclass(frozen=True)
class _Turn:
    """A cell's turn in the shuffled order.

    Attributes:
        job: Which.
        again: 0 for the first time that it is measured.
    """

    job: Job
    again: int


def run(
    subjects: str | Path | Subject | Sequence[str | Path | Subject],
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    measure: Measure = in_fresh_process,
) -> Report:
    """Measures bundles on this device.

    A cell that cannot run is a row that says why; the others go on. If the user interrupts, the
    report holds what was measured until then.

    Args:
        subjects: One or several bundles, each a folder or an ``.etx`` file.
        plan: What to measure.
        progress: Called with what is measured next, how many cells are done, and of how many.
        measure: Measures a cell.

    Raises:
        BundleError: The only bundle cannot be opened; one of several is a row that says so.
        UnknownName: A graph or backend that a bundle does not have.
        InvalidConfig: There is nothing to measure with.
    """
    plan = plan or Plan()
    device, before = DeviceInfo.probe(), read_conditions()
    opened = open_all(_subjects(subjects), plan)
    jobs = [job for one in opened for job in jobs_of(one, plan, device.cpu.usable_threads)]
    rows = settled(_measured(jobs, plan, progress, measure))
    noise = noise_of(rows)
    context = ReportContext(
        device=encode(device.to_dict()),
        versions=facts.versions([job.row for job in jobs]),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        models=tuple(one.model for one in opened),
        settings=facts.settings(plan, device),
        before=before,
        after=read_conditions(),
        noise=noise,
        unmeasured=facts.unmeasured(before),
        data=facts.data(plan, rows),
        remarks=facts.remarks(rows, noise),
    )
    return Report(context, tuple(rows))


def _subjects(given: str | Path | Subject | Sequence[str | Path | Subject]) -> list[Subject]:
    several: Iterable[str | Path | Subject] = (
        [given] if isinstance(given, (str, Path, Subject)) else given
    )
    return [one if isinstance(one, Subject) else Subject(str(one)) for one in several]


def _measured(
    jobs: Sequence[Job], plan: Plan, progress: Progress | None, measure: Measure
) -> list[ReportRow]:
    """The rows of all jobs in the jobs' order, measured in a shuffled one."""
    turns = _turns([job for job in jobs if job.cell is not None], plan)
    found: dict[int, ReportRow] = {}
    with contextlib.suppress(KeyboardInterrupt):  # what was measured until then is not lost
        _take_turns(turns, found, progress, measure)
        for _ in range(0 if plan.repeats == 0 else MORE_TURNS):
            again = [job for job in jobs if id(job) in found and _disturbed(found[id(job)], found)]
            _take_turns([_Turn(job, 1) for job in again], found, progress, measure)
    return [found.get(id(job), _missed(job)) for job in jobs]


def _disturbed(row: ReportRow, found: Mapping[int, ReportRow]) -> bool:
    """Whether none of a cell's measurements is a quiet one."""
    floor = floor_among(found.values(), row.threads)
    return row.status == "ok" and not any(one.quiet for one in measurements(row, floor))


def _take_turns(
    turns: Sequence[_Turn],
    found: dict[int, ReportRow],
    progress: Progress | None,
    measure: Measure,
) -> None:
    alone = len({turn.job.row.model for turn in turns}) == 1
    for done, turn in enumerate(turns):
        if progress is not None:
            progress(turn.job.row.place if alone else turn.job.row.label, done, len(turns))
        row = found.get(id(turn.job))
        if row is None or row.status == "ok":
            again = _once(turn.job, measure, floor_among(found.values(), turn.job.row.threads))
            found[id(turn.job)] = _joined(row, again)
    if progress is not None and turns:
        progress("", len(turns), len(turns))


def _missed(job: Job) -> ReportRow:
    """The row of a job that has had no turn: it has no cell, or the sweep was interrupted."""
    if job.cell is None:
        return job.row
    return replace(job.row, status="skipped", note=INTERRUPTED)


def _turns(jobs: Sequence[Job], plan: Plan) -> list[_Turn]:
    """Every cell's turns, in an order that the seed shuffles.

    What else the machine does, heat among it, then does not meet the cells of one graph alone.
    If no repeats were asked for, the cell that comes first comes again at the end: how far the
    two are apart is the noise.
    """
    order = random.Random(plan.seed)  # noqa: S311 - of an order, not of a secret
    rounds = []
    for again in range(1 + (plan.repeats or 0)):
        turns = [_Turn(job, again) for job in jobs]
        order.shuffle(turns)
        rounds += turns
    if plan.repeats is None and rounds:
        rounds.append(_Turn(rounds[0].job, 1))
    return rounds


def _once(job: Job, measure: Measure, floor: Stretch | None) -> ReportRow:
    watch = Watch()
    if job.cell is None:
        return job.row
    cell = replace(job.cell, floor=floor)
    return row_of(job.row, cell, measure(cell), watch.stop())


def _joined(row: ReportRow | None, again: ReportRow) -> ReportRow:
    """The first row, with the samples of the same cell measured again."""
    if row is None:
        return again
    if again.status != "ok":
        note = "; ".join(filter(None, (row.note, f"measured again, it failed: {again.note}")))
        return replace(row, note=note)
    worse = _worse(row.surroundings, again.surroundings)
    return replace(
        row,
        repeats_ns=(*row.repeats_ns, again.samples_ns),
        repeats_stretches=(*row.repeats_stretches, again.stretches),
        surroundings=worse,
    )


def _worse(first: Surroundings | None, again: Surroundings | None) -> Surroundings | None:
    """The surroundings with more going on."""
    both = [one for one in (first, again) if one is not None]
    return max(both, key=lambda one: one.others_cpu or 0.0, default=None)
