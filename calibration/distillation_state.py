"""Where a training run stands, in one file of safetensors that is replaced in one step.

The file holds all that the next step depends on: weights, both moments of AdamW, the random
numbers' state and the position in the data. No pickle.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from edge_tx import swap
from edge_tx.errors import InvalidConfig

__all__ = ["Position", "State", "forget_state", "load_state", "save_state"]

_NAME = "state.safetensors"
_KEY = "edge_tx_distillation"
_SCHEMA = 1


@dataclass
class Position:
    """Where a run is.

    Attributes:
        batches: Batches that were used, over all epochs.
        steps: Steps of the optimizer.
        seconds: That were spent on training.
        measured: Measurements that were made.
        worse: Measurements since the best one.
        best: The best one; None before the first.
        losses: Sum of the losses since the last measurement, by name.
        counted: Batches in that sum.
        history: What was measured: step, loss and metric.
    """

    batches: int = 0
    steps: int = 0
    seconds: float = 0.0
    measured: int = 0
    worse: int = 0
    best: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """All that the next step depends on.

    Attributes:
        position: Where the run is.
        weights: Of the student, by name.
        best: Those of the best measurement; empty before the first.
        moments: Of the optimizer, by weight and kind.
        random: Of torch's generator.
    """

    position: Position
    weights: Mapping[str, torch.Tensor]
    best: Mapping[str, torch.Tensor]
    moments: Mapping[str, Mapping[str, torch.Tensor]]
    random: torch.Tensor


def save_state(folder: Path, run: str, state: State) -> None:
    """Writes a state in the place of the one before.

    Args:
        folder: Of the run; made if it is not there.
        run: What the run is made of, hashed.
        state: To be kept.

    Raises:
        BundleError: It cannot be written.
    """
    tensors = {f"weights/{name}": value for name, value in state.weights.items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    for name, kinds in state.moments.items():
        tensors |= {f"moments/{kind}/{name}": value for kind, value in kinds.items()}
    tensors["random"] = state.random
    record = {"schema": _SCHEMA, "run": run, "position": asdict(state.position)}
    with swap.io_errors(f"write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{_NAME}.{os.getpid()}.tmp"
        # Metadata keeps numbers exactly: Python writes a float's shortest form that reads back.
        _write(new, tensors, json.dumps(record))
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(folder / _NAME)


def _write(path: Path, tensors: Mapping[str, torch.Tensor], record: str) -> None:
    plain = {name: value.detach().contiguous() for name, value in tensors.items()}
    try:
        save_file(plain, path, metadata={_KEY: record})
    except SafetensorError as exc:  # what its Rust side makes of a full disk
        raise OSError(str(exc)) from exc


def load_state(folder: Path, run: str) -> State | None:
    """Reads the state of a run; None if there is none.

    Args:
        folder: Of the run.
        run: What the run is made of, hashed.

    Raises:
        InvalidConfig: It is of a run with other settings, models or data, or damaged.
    """
    path = folder / _NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as exc:
        raise InvalidConfig(f"{path} cannot be read ({exc}): remove it to start again") from exc
    if not isinstance(record, dict) or record.get("schema") != _SCHEMA:
        raise InvalidConfig(f"{path} is not of this version of edge_tx: remove it to start again")
    if record.get("run") != run:
        raise InvalidConfig(
            f"{folder} holds the state of a run with other settings, models or data: go on with "
            "those, remove it, or choose another folder"
        )
    return _state(record["position"], tensors)


def forget_state(folder: Path) -> None:
    """Removes the state of a run that has come to its end."""
    (folder / _NAME).unlink(missing_ok=True)


def _state(position: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> State:
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in _below(tensors, "moments/").items():
        kind, _, weight = name.partition("/")
        moments.setdefault(weight, {})[kind] = value
    return State(
        Position(**position),
        _below(tensors, "weights/"),
        _below(tensors, "best/"),
        moments,
        tensors["random"],
    )


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
