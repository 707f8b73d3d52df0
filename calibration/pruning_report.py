"""What a pruning has come to: sizes, operations and times of the model before and after.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.backends import Backend, SessionConfig, open_session
from edge_tx.calibration.distillation import Distilled
from edge_tx.calibration.pruning_encoder import Encoder, Key
from edge_tx.calibration.pruning_latency import export_graph
from edge_tx.calibration.pruning_outcome import LayerReport, Pruned, Recovery, Size
from edge_tx.calibration.pruning_plan import Plan
from edge_tx.calibration.pruning_search import flops
from edge_tx.calibration.speed import Pace, compare
from edge_tx.exporters.pruned import KEY
from edge_tx.exporters.traced import Traced
from edge_tx.text import Row

if TYPE_CHECKING:
    import torch

__all__ = ["Cut", "layer_flops", "outcome"]


@dataclass
class Cut:
    """A pruned model.

    Attributes:
        module: The model, ready to be exported.
        kept: By the layer's number in the model as it was.
        target: Share that was asked for.
        score: The metric; None if there is none.
        recovered: What a distillation from the whole model brought; None if there was none.
    """

    module: torch.nn.Module
    kept: dict[int, LayerReport]
    target: float | None = None
    score: float | None = None
    recovered: Distilled | None = None


def layer_flops(encoder: Encoder, key: Key, units: int, seq: int) -> float:
    """Floating-point operations of a sublayer with so many units, for one token of a text.

    Args:
        encoder: The model's layers.
        key: The sublayer.
        units: Heads or neurons.
        seq: Tokens of the text.
    """
    size, parts = encoder.head_size(key), encoder.layout.up_parts
    return flops(encoder.width, size, key.kind, units, parts, seq)


def outcome(
    plan: Plan,
    traced: Traced,
    rows: Sequence[Row],
    cut: Cut,
    output: str,
    say: Callable[[str, int, int], None],
) -> Pruned:
    """Sizes, and times on this device, of a model before and after.

    Args:
        plan: What was asked for.
        traced: The model as it was.
        rows: Real ones, to time calls on.
        cut: What is left of it.
        output: The new folder.
        say: Told what begins.

    Raises:
        ExportFailed: A backend's exporter failed.
        SessionFailed: A runtime failed.
    """
    student = replace(traced, module=cut.module)
    config: Any = cut.module.transformer.config
    return Pruned(
        output=output,
        method=plan.method,
        layers=cut.kept,
        removed_layers=(),
        before=_size(traced, plan.seq),
        after=_size(student, plan.seq),
        plain=not hasattr(config, KEY),
        target=cut.target,
        asked=plan.target,
        metric=plan.metric,
        score_after=cut.score,
        recovery=_recovery(cut.recovered),
        paces={row.name: _paces(row, plan, traced, student, rows, say) for row in plan.measure},
    )


def _recovery(done: Distilled | None) -> Recovery | None:
    if done is None:
        return None
    return Recovery(done.metric, done.before, done.after, done.steps, done.seconds)


def _size(traced: Traced, seq: int) -> Size:
    encoder = Encoder(traced.module.transformer)
    weights = sum(weight.numel() for weight in traced.module.parameters())
    own = sum(weight.numel() for weight in encoder.layers.parameters())
    each = sum(layer_flops(encoder, key, encoder.units(key), seq) for key in encoder.sublayers())
    return Size(weights, own, each * seq, 4 * weights)


def _paces(
    backend: Backend,
    plan: Plan,
    traced: Traced,
    student: Traced,
    rows: Sequence[Row],
    say: Callable[[str, int, int], None],
) -> tuple[Pace, ...]:
    say(f"timing both models on {backend.title}", 0, 0)
    config = SessionConfig(threads=plan.threads)
    with tempfile.TemporaryDirectory() as work:
        entries = []
        for number, model in enumerate((traced, student)):
            folder = Path(work) / str(number)
            folder.mkdir()
            entries.append(export_graph(model, backend, folder).entry)
        with (
            closing(open_session(backend.name, entries[0], config)) as before,
            closing(open_session(backend.name, entries[1], config)) as after,
        ):
            policy = traced.policy
            return compare(before, after, rows, policy.inputs, policy.max_length)
