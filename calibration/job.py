"""One backend and one recipe: quantise, hold against the gate, weigh, write."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx import backends
from edge_tx.backends import Backend, SessionConfig
from edge_tx.bundle_writer import BundleWriter
from edge_tx.calibration import quantizer, speed
from edge_tx.calibration.gate import Budget, Gate, Passed, Progress
from edge_tx.calibration.likeness import likeness
from edge_tx.calibration.material import Material
from edge_tx.calibration.outcome import Outcome
from edge_tx.calibration.plan import graph_name
from edge_tx.calibration.recipe import Recipe
from edge_tx.calibration.speed import Verdict
from edge_tx.calibration.trial import Candidate, GraphTrial
from edge_tx.errors import EdgeTxError, InvalidConfig

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.manifest import Graph, Parity
    from edge_tx.tensors import TensorSpec

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """What is known of a graph that passed its gate."""

    parity: Parity
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    size_ratio: float
    verdict: Verdict | None


class Job:
    """One backend and one recipe.

    Args:
        row: The backend.
        recipe: What to do.
        material: Data and measures.
        writer: Takes the graph.
        say: Told what begins.
    """

    def __init__(
        self,
        row: Backend,
        recipe: Recipe,
        material: Material,
        writer: BundleWriter,
        say: Progress,
    ) -> None:
        self.row = row
        self.recipe = recipe
        self.name = graph_name(row, recipe)
        self._material = material
        self._plan = material.plan
        self._writer = writer
        self._say = say

    def failed(self, error: EdgeTxError) -> Outcome:
        """The outcome of a job that raised."""
        return Outcome(
            self.name,
            self.row.name,
            str(self.recipe),
            written=False,
            reason=str(error),
            error=error,
        )

    def run(self) -> Outcome:
        """Does all of it.

        Raises:
            InvalidConfig: The backend cannot do the recipe, or the bundle lacks its fp32 graph.
            MissingDependency: A package is not installed.
            ExportFailed: The vendor's tool failed.
            AccuracyGateFailed: The budget does not hold.
        """
        tool = quantizer.find(self.row)
        tool.check(self.recipe)
        runner = quantizer.runner(self.row)
        source = self._fp32_graph()
        entry = self._material.bundle.entry(source)

        def opened(path: Path) -> Session:
            config = SessionConfig(threads=self._plan.threads)
            return backends.open_session(runner, path, config)

        self._tell(f"measuring {self._plan.metric} of {source.name}")
        evaluation, fp32 = self._material.measured(source.name, lambda: opened(entry))
        trial = GraphTrial(
            tool,
            entry,
            source.size,
            self.recipe,
            self._plan.target,
            self._material.calibration.feeds,
            opened,
            evaluation,
            self._material.sample,
            self._writer.scratch_folder(),
        )
        budget = Budget(self._plan.metric, self._plan.max_drop, fp32)
        passed = Gate(trial, self._units(tool.layers(entry)), budget, self._tell).run()
        passed = self._proven(passed)
        weighed = self._weighed(passed.candidate, source, entry, opened)
        return self._decided(passed, weighed, fp32, trial.reads_data)

    def _tell(self, step: str, done: int = 0, total: int = 0, /) -> None:
        self._say(f"{self.name}: {step}", done, total)

    def _fp32_graph(self) -> Graph:
        for graph in self._material.bundle.graphs:
            if graph.backend == self.row.name and graph.precision == "fp32" and not graph.recipe:
                return graph
        raise InvalidConfig(
            f"the bundle has no fp32 graph of '{self.row.name}' to quantise: export the model with "
            f"--to {self.row.name} first"
        )

    def _units(self, units: Sequence[str]) -> list[str]:
        for pattern in self.recipe.keep_float:
            if not any(replace(self.recipe, keep_float=(pattern,)).keeps(unit) for unit in units):
                shown = ", ".join(units[:4])
                raise InvalidConfig(
                    f"keep_float pattern '{pattern}' fits none of the graph's {len(units)} units "
                    f"({shown}...)"
                )
        return [unit for unit in units if not self.recipe.keeps(unit)]

    def _proven(self, passed: Passed[Candidate]) -> Passed[Candidate]:
        made = quantizer.proven(self.row, passed.candidate.quantized)
        return replace(passed, candidate=replace(passed.candidate, quantized=made))

    def _weighed(
        self, candidate: Candidate, source: Graph, entry: Path, opened: Callable[[Path], Session]
    ) -> _Weighed:
        material = self._material
        fp32, other = opened(entry), opened(candidate.quantized.entry)
        try:
            self._tell("comparing answers with fp32")
            parity = likeness(fp32, other, material.task, material.tokenizer, material.cases())
            size = candidate.size
            verdict = None
            if self._plan.target.is_host and other.placement().backend == self.row.name:
                self._tell("comparing speed with fp32")
                rows, most = (
                    material.calibration.prepared.rows,
                    material.tokenizer.policy.max_length,
                )
                paces = speed.compare(fp32, other, rows, [i.name for i in other.inputs], most)
                verdict = Verdict(paces, source.size, size)
            return _Weighed(parity, other.inputs, other.outputs, size / source.size, verdict)
        finally:
            fp32.close()
            other.close()

    def _decided(
        self, passed: Passed[Candidate], weighed: _Weighed, fp32: float, reads_data: bool
    ) -> Outcome:
        plan, verdict = self._plan, weighed.verdict
        wanted = plan.wants(verdict)
        if wanted:
            self._tell("writing")
            self._write(passed, weighed, fp32, reads_data)
        notes = [self._remark(verdict), *passed.candidate.quantized.notes]
        return Outcome(
            self.name,
            self.row.name,
            str(self.recipe),
            written=wanted,
            reason="; ".join(filter(None, notes)),
            metric=plan.metric,
            fp32=fp32,
            score=passed.score,
            first=passed.first,
            steps=passed.steps,
            kept=tuple(sorted(passed.kept)),
            verdict=verdict,
            size_ratio=weighed.size_ratio,
        )

    def _remark(self, verdict: Verdict | None) -> str:
        plan = self._plan
        if verdict is None:
            where = "that device" if plan.target.is_host else plan.target.name
            return f"its speed is unproven: only {where} can tell"
        if verdict.worth:
            return ""
        return (
            f"not worth it here, because it is {verdict.speedup:.2f} times as fast as fp32 and "
            f"{speed.WORTH} is the least that pays"
        )

    def _write(
        self, passed: Passed[Candidate], weighed: _Weighed, fp32: float, reads_data: bool
    ) -> None:
        made, plan = passed.candidate.quantized, self._plan
        folder = self._writer.graph_folder(self.name)
        shutil.copytree(passed.candidate.folder, folder, dirs_exist_ok=True)
        self._writer.add_graph(
            name=self.name,
            backend=self.row.name,
            precision=made.precision,
            entry=folder / made.entry.relative_to(passed.candidate.folder),
            inputs=weighed.inputs,
            outputs=weighed.outputs,
            parity=weighed.parity,
            route=made.route,
            recipe=str(_as_done(self.recipe, passed.kept)),
            calibration=self._material.calibration.sha256 if reads_data else "",
            metrics={
                plan.metric: passed.score,
                f"{plan.metric}_fp32": fp32,
                **(weighed.verdict.metrics() if weighed.verdict else {}),
            },
            tools=made.tools,
        )


def _as_done(recipe: Recipe, kept: Collection[str]) -> Recipe:
    """The recipe with the gate's choices in it: it gives the same graph without a gate."""
    patterns = [re.sub(r"[][*?]", r"[\g<0>]", unit) for unit in sorted(kept)]
    legal = [re.sub(r"[,+\s]", "?", pattern) for pattern in patterns]
    return replace(recipe, keep_float=(*recipe.keep_float, *legal)) if legal else recipe
