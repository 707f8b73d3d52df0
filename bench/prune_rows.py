"""The rows of the table that ``prune.py`` makes: models, data, what is done to them, what for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_tx

__all__ = ["CASES", "ROWS", "SEQ", "Case", "Inputs", "Setting"]

SEQ = 128


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes:
        model: Folder under ``models``; empty for all-MiniLM-L6-v2.
        train: File under ``data`` to look at.
        dev: File under ``data`` to measure on.
        metric: That is measured.
        max_length: Most tokens that graphs are exported for.
    """

    model: str
    train: str
    dev: str
    metric: str
    max_length: int = SEQ


CASES: Mapping[str, Case] = {
    "sst2": Case("sst2-minilm", "sst2/train.jsonl.gz", "sst2/dev.jsonl", "accuracy"),
    "btc": Case("btc-ner-minilm", "btc/train.jsonl", "btc/test.jsonl", "f1"),
    "squad": Case("squad-minilm", "xquad_en/test.jsonl", "squad_v11/dev-600.jsonl", "f1", 384),
    "minilm": Case("", "stsb/train.jsonl", "stsb/test.jsonl", "pearson"),
}


@dataclass(frozen=True)
class Inputs:
    """What a maker is given.

    Attributes:
        model: The model as it was.
        start: What an earlier row made of it; the model itself if there is none.
        output: The new folder.
        train: To look at.
        work: May be used, and is kept.
    """

    model: Path
    start: Path
    output: Path
    train: Path
    work: Path


Maker = Callable[..., Any]
"""``(inputs, **options)``; writes the folder."""


def _pruned(inputs: Inputs, **options: Any) -> None:
    edge_tx.prune(
        inputs.model, inputs.output, data=inputs.train, measure=(), progress=_told, **options
    )


def _distilled(inputs: Inputs, **options: Any) -> None:
    edge_tx.distill(
        inputs.model,
        inputs.start,
        inputs.output,
        data=inputs.train,
        training=edge_tx.Training(**options),
        work=inputs.work,
        progress=_told,
    )


def _thinned(inputs: Inputs, **options: Any) -> None:
    edge_tx.sparsify(inputs.model, inputs.output, data=inputs.train, progress=_told, **options)


def _told(step: str, done: int = 0, total: int = 0, /) -> None:
    print(f"  {step} ({done + 1} of {total})" if done < total else f"  {step}", file=sys.stderr)


@dataclass(frozen=True)
class Limit:
    """What a maker may take, on a machine that does nothing else.

    Attributes:
        seconds: By the clock.
        peak_mb: Resident memory at its highest.
    """

    seconds: float
    peak_mb: float = 3 * 1024


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        case: Key of :data:`CASES`.
        about: What is done, for the table.
        make: Writes the smaller model; None where quantising is all that is done.
        options: Of the maker.
        limit: What making it may take; None if nobody has said.
        start: Row whose model it goes on with.
        drop: Points that the metric may lose; None if nobody has said.
        speedup: Times as fast that it must be; None if nobody has said.
        graphs: That are timed.
        recipe: The graph is quantised with; empty if it is not.
        timed: Whether its shapes are smaller, so that times are worth taking.
    """

    case: str
    about: str
    make: Maker | None
    options: Mapping[str, Any]
    limit: Limit | None = None
    start: str = ""
    drop: float | None = None
    speedup: float | None = None
    graphs: tuple[str, ...] = ("onnx-fp32", "openvino-fp32")
    recipe: str = ""
    timed: bool = True


_INT8 = ("onnx-dynamic_w8",)
_CUT, _TRAINED = Limit(3 * 60), Limit(30 * 60)


def _cut(case: str, about: str, options: Mapping[str, Any], **more: Any) -> Setting:
    return Setting(case, about, _pruned, options, _CUT, **more)


def _flops(case: str, share: float, drop: float, speedup: float) -> Setting:
    about = f"{share:.0%} of the operations"
    return _cut(case, about, {"target_flops": share}, drop=drop, speedup=speedup)


ROWS: Mapping[str, Setting] = {
    "sst2-60": _flops("sst2", 0.6, 0.4, 1.45),
    "sst2-50": _flops("sst2", 0.5, 0.8, 1.7),
    "sst2-40": _flops("sst2", 0.4, 2.0, 2.1),
    "btc-60": _flops("btc", 0.6, 1.0, 1.45),
    "sst2-50-distil": Setting(
        "sst2", "50 %, then distillation on a quarter of the data", _distilled,
        {"epochs": 0.25, "rate": 3e-5, "measurements": 6, "patience": 3}, _TRAINED,
        start="sst2-50", drop=0.3, speedup=1.7,
    ),
    "sst2-60-int8": Setting(
        "sst2", "60 %, then dynamic int8", None, {}, start="sst2-60", drop=1.0, speedup=2.4,
        graphs=_INT8, recipe="dynamic_w8",
    ),
    "minilm-20-int8": Setting(
        "minilm", "20 % of all weights zero, then dynamic int8", _thinned,
        {"ratio": 0.2, "scope": "all"}, drop=0.2, graphs=_INT8, recipe="dynamic_w8", timed=False,
    ),
    "minilm-50": Setting(
        "minilm", "50 % of the linear weights zero, second order", _thinned, {"ratio": 0.5},
        drop=0.8, graphs=("onnx-fp32",), timed=False,
    ),
    "minilm-50-l1": Setting(
        "minilm", "50 % of the linear weights zero, the smallest", _thinned,
        {"ratio": 0.5, "method": "l1"}, graphs=("onnx-fp32",), timed=False,
    ),
    "squad-60": _cut("squad", "60 % of the operations", {"target_flops": 0.6}),
    "sst2-60-latency": _cut("sst2", "60 % of the time", {"target_latency": 0.6}),
    "sst2-60-plain": _cut("sst2", "60 %, plain", {"target_flops": 0.6, "plain": True}),
    "sst2-40-fisher": _cut(
        "sst2", "40 %, ranked by Fisher masks", {"target_flops": 0.4, "method": "fisher"}
    ),
}  # fmt: skip
