"""One pruning from the data to the model that holds its gate.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_tx import tasks
from edge_tx.calibration.data import calibration_set
from edge_tx.calibration.distillation import Distilled, recover
from edge_tx.calibration.distillation_plan import Training
from edge_tx.calibration.distillation_rows import in_length_order, tensors_of
from edge_tx.calibration.distillation_session import ModuleSession, evaluation
from edge_tx.calibration.distillation_student import harm
from edge_tx.calibration.pruning_encoder import FFN, Encoder, Key
from edge_tx.calibration.pruning_latency import LatencyTable, latency_table
from edge_tx.calibration.pruning_masks import Path, damped, ranked_path, removal_path
from edge_tx.calibration.pruning_outcome import Attempt, LayerReport, Pruned
from edge_tx.calibration.pruning_plan import Plan, Searched
from edge_tx.calibration.pruning_report import Cut, layer_flops, outcome
from edge_tx.calibration.pruning_search import Choice, Option, allocate, even_ffn
from edge_tx.calibration.pruning_statistics import Batch, measure, with_bias
from edge_tx.calibration.pruning_tuning import rebuild
from edge_tx.calibration.sparsity_layers import search_layers
from edge_tx.errors import AccuracyGateFailed, InvalidConfig
from edge_tx.evaluation import Evaluation
from edge_tx.examples import Example, read_examples
from edge_tx.exporters.traced import Traced
from edge_tx.metric_table import find_metric
from edge_tx.text import Row, Tokenizer

if TYPE_CHECKING:
    import torch

__all__ = ["Job"]

_BATCH = 64
_BATCH_TOKENS = 2048
_TOKENS = 65536
"""Tokens that are looked at: the least squares of thousands of unknowns are well determined."""

_STEP = 16
"""Neurons that go together: widths stay multiples of what a vector register holds."""

_MEASURED = 256
"""Inputs that a metric without labels is measured on, if no others are given."""

_TRIALS = 4
_WORTH = 0.97
"""A cut that leaves more than this is not worth making."""


class Job:
    """A model, data, and what is asked for.

    Args:
        plan: What is asked for.
        traced: The model.
        say: Told what begins.

    Raises:
        InvalidInput: A row cannot be used, or the data looks nothing like the model's input.
        InvalidConfig: What is asked for does not fit the model.
        UnsupportedModel: The model cannot be pruned.
        UnknownName: There is no such metric.
    """

    def __init__(self, plan: Plan, traced: Traced, say: Callable[[str, int, int], None]) -> None:
        self.plan = plan
        self.traced = traced
        self.say = say
        self.teacher = Encoder(traced.module.transformer)
        self._rows = self._drawn()
        self._stay = self._layers()
        self._check_sizes()
        self._gate = self._evaluation()
        self._score = self._gate.reference_score() if self._gate else None
        self._attempts: list[Attempt] = []
        self._table: LatencyTable | None = None

    def run(self) -> Cut:
        """Prunes, and searches a smaller cut where the gate does not hold.

        Raises:
            InvalidConfig: The target is out of reach.
            InvalidInput: There are too few rows to recover on.
            AccuracyGateFailed: No cut worth making holds.
        """
        plan = self.plan
        if plan.target_latency is not None and plan.backend is not None:
            self.say(f"timing layers on {plan.backend.title}", 0, 0)
            self._table = latency_table(self.traced, plan.backend, plan.seq, plan.threads)
        self.say("looking at what flows through", 0, 0)
        self._batches = self._batched()
        statistics = measure(self.traced, self.teacher, self._batches, plan.seed)
        self._statistics = statistics
        self._paths = {key: self._path(key) for key in self._keys()}
        self._options = {key: self._option(key) for key in self._keys()}
        return self._holding(self._attempt(plan.target))

    # ------------------------------------------------------------------------------ the data

    def _layers(self) -> tuple[int, ...]:
        """Numbers of the layers that stay."""
        layers = self.plan.layers
        if not isinstance(layers, Searched):
            return self.plan.chosen_layers(len(self.teacher.layers))
        trial = replace(self.traced, module=copy.deepcopy(self.traced.module))
        examples = [Example((value,), None, "the data") for value in self._sample]
        return search_layers(
            trial.module.transformer,
            layers.count,
            harm(trial, self.traced, examples, self.plan.options),
            lambda done, total: self.say("looking for layers", done, total),
        )

    def _drawn(self) -> Sequence[Row]:
        plan, traced = self.plan, self.traced
        drawn = calibration_set(
            plan.data,
            traced.task,
            tasks.create(traced.task, traced.settings),
            Tokenizer(traced.tokenizer_json, traced.policy),
            samples=plan.samples,
            seed=plan.seed,
            options=plan.options,
        )
        few = min(_MEASURED, len(drawn.inputs))
        self._sample = [drawn.inputs[i * len(drawn.inputs) // few] for i in range(few)]
        rows = drawn.prepared.rows
        share = min(1.0, _TOKENS / sum(len(row.ids) for row in rows))
        count = max(1, round(share * len(rows)))
        return [rows[i * len(rows) // count] for i in range(count)]

    def _batched(self) -> list[Batch]:
        lengths = [len(row.ids) for row in self._rows]
        policy = self.traced.policy
        return [
            Batch(tensors_of([self._rows[i] for i in places], policy))
            for places in in_length_order(lengths, _BATCH, _BATCH_TOKENS)
        ]

    def _evaluation(self) -> Evaluation | None:
        plan, traced = self.plan, self.traced
        if not plan.metric:
            return None
        metric = find_metric(plan.metric, traced.task)
        self.say("measuring the model as it is", 0, 0)
        if plan.dev is None and not metric.labelled:
            examples = [Example((value,), None, "the data") for value in self._sample]
        else:
            source = plan.data if plan.dev is None else plan.dev
            examples = list(read_examples(source, traced.task, labelled=metric.labelled))
        return evaluation(metric, examples, traced, plan.options)

    # ---------------------------------------------------------------------------- the search

    def _keys(self) -> list[Key]:
        return [key for key in self.teacher.sublayers() if key.layer in self._stay]

    def _step(self, key: Key) -> int:
        return _STEP if key.kind == FFN and self.teacher.units(key) >= 2 * _STEP else 1

    def _check_sizes(self) -> None:
        plan, shapes = self.plan, self.teacher.shapes()
        most_heads = min(len(shapes[n].heads) for n in self._stay)
        most = min(shapes[n].neurons for n in self._stay)
        if plan.heads is not None and plan.heads > most_heads:
            raise InvalidConfig(f"layers have {most_heads} heads: {plan.heads} cannot stay")
        if plan.ffn is not None and plan.ffn > most:
            raise InvalidConfig(f"layers have {most} neurons: {plan.ffn} cannot stay")

    def _path(self, key: Key) -> Path:
        known = self._statistics[key]
        if self.plan.method == "fisher":
            return ranked_path(known.fisher, self._step(key))
        return removal_path(
            damped(known.moments),
            with_bias(self.teacher.output(key)),
            known.gradients,
            self.teacher.head_size(key),
            self._step(key),
        )

    def _option(self, key: Key) -> Option:
        path, step, units = self._paths[key], self._step(key), self.teacher.units(key)
        counts = [units - step * gone for gone in range(len(path.errors) + 1)]
        return Option(
            np.array([0.0, *path.errors]), np.array([self._cost(key, count) for count in counts])
        )

    def _cost(self, key: Key, units: int) -> float:
        if self._table is not None:
            return self._table.cost(key.kind, units)
        return layer_flops(self.teacher, key, units, self.plan.seq)

    def _choice(self, target: float | None) -> Choice:
        if target is None:
            return {key: self._explicit(key) for key in self._keys()}
        search = even_ffn if self.plan.plain else allocate
        return search(self._options, self._budget(target))

    def _budget(self, target: float) -> float:
        """What the layers that stay may cost."""
        every = self.teacher.sublayers()
        whole = sum(self._cost(key, self.teacher.units(key)) for key in every)
        if self._table is None:
            return target * whole
        layers = len(self.teacher.layers)
        floor = max(0.0, self._table.layer_ns - whole / layers)
        fixed = self._table.total_ns - whole - floor * (layers - len(self._stay))
        return target * self._table.total_ns - fixed

    def _explicit(self, key: Key) -> int:
        wanted = self.plan.ffn if key.kind == FFN else self.plan.heads
        units, step = self.teacher.units(key), self._step(key)
        return 0 if wanted is None else -(-(units - wanted) // step)

    # ------------------------------------------------------------------------------- the cut

    def _attempt(self, target: float | None) -> Cut:
        choice = self._choice(target)
        self.say("fitting what is left" + (f" at {target:.0%}" if target else ""), 0, 0)
        module = copy.deepcopy(self.traced.module)
        student = Encoder(module.transformer)
        gone = [n for n in range(len(student.layers)) if n not in self._stay]
        kept: dict[Key, Sequence[int]] = {}

        def choose(key: Key, moments: torch.Tensor, weights: torch.Tensor) -> Sequence[int]:
            kept[key] = self._survivors(key, choice[key], moments, weights)
            return kept[key]

        rebuild(self.teacher, student, self._batches, choose, gone)
        report = self._report(student, gone)
        if gone:
            student.keep_layers(self._stay)
        student.record()
        cut = Cut(module, report, target)
        if self.plan.recover is not None:
            cut.recovered = self._recover(cut, self.plan.recover)
        if self._gate is not None:
            self.say("measuring the pruned model", 0, 0)
            cut.score = self._gate.score(ModuleSession(self.traced, module))
            self._attempts.append(Attempt(1.0 if target is None else target, cut.score))
        return cut

    def _recover(self, cut: Cut, minutes: float) -> Distilled:
        """Trains what is left to answer as the whole did."""
        plan = self.plan
        work = None
        if plan.work is not None:
            work = plan.work / ("sizes" if cut.target is None else f"{cut.target:.4f}")
        return recover(
            replace(self.traced, module=cut.module),
            self.traced,
            plan.data,
            minutes=minutes,
            training=Training(seed=plan.seed),
            work=work,
            options=plan.options,
            progress=self.say,
        )

    def _survivors(
        self, key: Key, gone: int, moments: torch.Tensor, weights: torch.Tensor
    ) -> Sequence[int]:
        """Which units of a sublayer stay, given how many groups go."""
        units = self.teacher.units(key)
        path = self._paths[key]
        if gone and self.plan.method == "surgeon":
            path = removal_path(
                damped(moments),
                weights,
                self._statistics[key].gradients,
                self.teacher.head_size(key),
                self._step(key),
                gone,
            )
        out = set(path.removed(gone))
        return [unit for unit in range(units) if unit not in out]

    def _report(self, student: Encoder, gone: Sequence[int]) -> dict[int, LayerReport]:
        pairs = zip(self.teacher.shapes(), student.shapes(), strict=True)
        return {
            number: LayerReport(now.heads, len(was.heads), now.neurons, was.neurons)
            for number, (was, now) in enumerate(pairs)
            if number not in gone
        }

    # ------------------------------------------------------------------------------ the gate

    def _holding(self, cut: Cut) -> Cut:
        if self._holds(cut):
            return cut
        if cut.target is None:
            raise self._failed(cut)
        low, high, best = cut.target, 1.0, None
        for _ in range(_TRIALS):
            middle = (low + high) / 2
            if middle > _WORTH:
                break
            trial = self._attempt(middle)
            if self._holds(trial):
                high, best = middle, trial
            else:
                low = middle
        if best is None:
            raise self._failed(cut)
        return best

    def _holds(self, cut: Cut) -> bool:
        if self.plan.max_drop is None or cut.score is None or self._score is None:
            return True
        return self._score - cut.score <= self.plan.max_drop + 1e-12

    def _failed(self, cut: Cut) -> AccuracyGateFailed:
        tried = ", ".join(f"{one.score:.4f} at {one.target:.0%}" for one in self._attempts)
        return AccuracyGateFailed(
            f"{self.plan.metric} falls from {self._score:.4f} by more than {self.plan.max_drop:g} "
            f"({tried}): give more data, allow a larger drop, or distil the model afterwards"
        )

    def outcome(self, cut: Cut, output: str) -> Pruned:
        """Sizes, and times on this device, of the model before and after."""
        gone = tuple(n for n in range(len(self.teacher.layers)) if n not in self._stay)
        done = outcome(self.plan, self.traced, self._rows, cut, output, self.say)
        return replace(
            done, removed_layers=gone, score_before=self._score, attempts=tuple(self._attempts)
        )
