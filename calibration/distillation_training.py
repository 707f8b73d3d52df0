"""The training loop: AdamW over batches of like lengths, measured, resumed, ended early.

A loop of our own and not transformers' Trainer: its state is pickled, its evaluation knows
nothing of this package's metrics, and it would bring accelerate. What is left of it after that is
short.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from edge_tx.calibration.distillation_data import Corpus, labels_of
from edge_tx.calibration.distillation_objective import Batch, Objective
from edge_tx.calibration.distillation_plan import Training
from edge_tx.calibration.distillation_rows import epoch_batches, tensors_of
from edge_tx.calibration.distillation_state import Position, State, load_state, save_state
from edge_tx.errors import InvalidConfig
from edge_tx.exporters.traced import Traced

__all__ = ["Run", "trainable"]

_CLIP = 1.0
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")

Report = Callable[[Position, float], None]


def trainable(network: torch.nn.Module, tables: bool) -> dict[str, torch.nn.Parameter]:
    """The weights to be trained, by name.

    Args:
        network: The transformer.
        tables: Whether the embedding tables are among them.
    """
    frozen = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, torch.nn.Embedding) and not tables
    }
    return {name: p for name, p in network.named_parameters() if id(p) not in frozen}


@dataclass(frozen=True)
class _Place:
    """A batch by where it stands in the data."""

    epoch: int
    rows: list[int]


class Run:
    """One training, from wherever it stands to its end.

    Args:
        objective: What is made smaller.
        student: The model that is trained, in place.
        corpus: What it is trained on.
        training: How.
        measure: Takes the student's metric; the larger the better.
        report: Told of every measurement: where the run is, and the share that is done.
    """

    def __init__(
        self,
        objective: Objective,
        student: Traced,
        corpus: Corpus,
        training: Training,
        measure: Callable[[], float],
        report: Report,
    ) -> None:
        self.position = Position()
        self._objective = objective
        self._network = student.module.transformer
        self._policy = student.policy
        self._corpus = corpus
        self._training = training
        self._measure = measure
        self._report = report
        self._weights = {
            **trainable(self._network, training.embeddings),
            **{f"projection.{n}": p for n, p in objective.projection.named_parameters()},
        }
        self._best: dict[str, torch.Tensor] = {}
        self._optimizer = self._adamw()
        self._total = self._steps()

    def go(self, folder: Path | None, run: str) -> None:
        """Trains to the end; the student then has the weights that measured best.

        Args:
            folder: Keeps the run's state, from which a killed run goes on; None for nowhere.
            run: What the run is made of, hashed.

        Raises:
            InvalidConfig: The folder holds another run's state.
            BundleError: The state cannot be written.
        """
        with torch.random.fork_rng(devices=[]), self._gradients():
            torch.manual_seed(self._training.seed)
            self._resume(load_state(folder, run) if folder is not None else None)
            self._train(folder, run)
        for name, value in self._best.items():
            self._weights[name].data.copy_(value)

    def _train(self, folder: Path | None, run: str) -> None:
        position, accumulate = self.position, self._training.accumulate
        began, saved = time.monotonic() - position.seconds, time.monotonic()
        if position.best is None:
            self._take_measure()
        for place in self._places():
            if self._done() >= 1 or self._is_stale():
                break
            self._backward(place)
            position.batches += 1
            if position.batches % accumulate:
                continue
            self._step()
            position.seconds = time.monotonic() - began
            if self._done() * self._training.measurements >= position.measured:
                self._take_measure()
            if folder is not None and time.monotonic() - saved > self._training.save_seconds:
                save_state(folder, run, self._state())
                saved = time.monotonic()

    # ------------------------------------------------------------------------- one step

    def _backward(self, place: _Place) -> None:
        rows = [self._corpus.rows[index] for index in place.rows]
        labels = labels_of(self._corpus, place.rows)
        batch = Batch(place.rows, tensors_of(rows, self._policy), labels)
        losses = self._objective.losses(batch)
        total = self._objective.total(losses)
        for name, loss in {**losses, "loss": total}.items():
            value = loss.item()
            if not math.isfinite(value):
                raise InvalidConfig(
                    f"{name} is {value} at step {self.position.steps}: give a smaller rate"
                )
            self.position.losses[name] = self.position.losses.get(name, 0.0) + value
        (total / self._training.accumulate).backward()
        self.position.counted += 1

    def _step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._weights.values(), _CLIP)
        rate = self._training.rate * self._height()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.position.steps += 1

    def _height(self) -> float:
        """Of the learning rate, from 0 to 1: up in a line, and down in one."""
        warmup = self._training.warmup
        done = max(self._done(), (self.position.steps + 1) / (self._total + 1))
        return min(done / warmup if warmup else 1.0, (1 - done) / (1 - warmup), 1.0)

    def _done(self) -> float:
        """Share of the training that is over, by steps or by time, whichever is further."""
        limit = self._training.minutes
        spent = self.position.seconds / (60 * limit) if limit else 0.0
        return min(1.0, max(self.position.steps / self._total, spent))

    def _is_stale(self) -> bool:
        patience = self._training.patience
        return patience is not None and self.position.worse >= patience

    # ----------------------------------------------------------------------- the data

    def _steps(self) -> int:
        """Steps of all epochs."""
        return max(1, self._batches() // self._training.accumulate)

    def _batches(self) -> int:
        whole, rest = divmod(self._training.epochs, 1)
        count = sum(len(self._order(epoch)) for epoch in range(int(whole)))
        return count + (round(rest * len(self._order(int(whole)))) if rest else 0)

    def _order(self, epoch: int) -> list[list[int]]:
        training = self._training
        return epoch_batches(
            self._corpus.lengths, training.batch, training.tokens, training.seed, epoch
        )

    def _places(self) -> Iterator[_Place]:
        """Batches from where the run stands, epoch after epoch."""
        skip, epoch = self.position.batches, 0
        while True:
            order = self._order(epoch)
            yield from (_Place(epoch, rows) for rows in order[skip:])
            skip, epoch = max(0, skip - len(order)), epoch + 1

    # --------------------------------------------------------------------- the metric

    def _take_measure(self) -> None:
        position = self.position
        self._network.eval()
        with torch.no_grad():
            score = self._measure()
        self._network.train(self._training.dropout)
        counted = max(1, position.counted)
        losses = {name: total / counted for name, total in position.losses.items()}
        position.history.append({"step": position.steps, "metric": score, **losses})
        position.losses, position.counted = {}, 0
        position.measured += 1
        position.worse += 1
        if position.best is None or score > position.best:
            position.best, position.worse = score, 0
            self._best = {name: p.detach().clone() for name, p in self._weights.items()}
        self._report(position, self._done())

    # ---------------------------------------------------------------------- the state

    @contextlib.contextmanager
    def _gradients(self) -> Iterator[None]:
        weights = list(self._weights.values())
        for weight in weights:
            weight.requires_grad_(True)
        self._network.train(self._training.dropout)
        try:
            yield
        finally:
            self._network.eval()
            self._optimizer.zero_grad()
            for weight in weights:
                weight.requires_grad_(False)

    def _adamw(self) -> torch.optim.AdamW:
        matrices = [p for p in self._weights.values() if p.ndim > 1]
        others = [p for p in self._weights.values() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self._training.decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], fused=True)

    def _state(self) -> State:
        moments = {
            name: {kind: self._optimizer.state[p][kind] for kind in _MOMENTS}
            for name, p in self._weights.items()
            if self._optimizer.state.get(p)
        }
        random = torch.random.get_rng_state()
        return State(self.position, self._weights, self._best, moments, random)

    def _resume(self, state: State | None) -> None:
        if state is None:
            return
        self.position, self._best = state.position, dict(state.best)
        for name, value in state.weights.items():
            self._weights[name].data.copy_(value)
        for name, kinds in state.moments.items():
            self._optimizer.state[self._weights[name]] = dict(kinds)
        torch.random.set_rng_state(state.random)
