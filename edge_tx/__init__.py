"""Export transformer models to the edge, prove them, and run them anywhere without torch."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_tx.bench.tuning import tune
    from edge_tx.bundle import Bundle
    from edge_tx.calibration.distillation import distill
    from edge_tx.calibration.distillation_plan import Training
    from edge_tx.calibration.flow import quantize
    from edge_tx.calibration.pruning import prune
    from edge_tx.calibration.sparsity import sparsify
    from edge_tx.device import DeviceInfo
    from edge_tx.errors import EdgeTxError, TruncationWarning
    from edge_tx.exporters.pipeline import export
    from edge_tx.optimizing.flow import optimize
    from edge_tx.report import Report
    from edge_tx.runtimes.batch import batch
    from edge_tx.runtimes.loading import load
    from edge_tx.runtimes.model import Model
    from edge_tx.scoreboard import evaluate
    from edge_tx.stamps import same_space

__version__ = "0.1.0"

# ONNX Runtime 1.29 and later report every process to their maker, and leave an identifier and a
# database in the home folder. They look here once, when they are first imported, be it by torch
# or optimum; a value that the user has set stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Imported when first used: `import edge_tx` costs a few milliseconds and no vendor's package.
_HOMES = {
    "Bundle": "edge_tx.bundle",
    "DeviceInfo": "edge_tx.device",
    "EdgeTxError": "edge_tx.errors",
    "Model": "edge_tx.runtimes.model",
    "Report": "edge_tx.report",
    "Training": "edge_tx.calibration.distillation_plan",
    "TruncationWarning": "edge_tx.errors",
    "batch": "edge_tx.runtimes.batch",
    "distill": "edge_tx.calibration.distillation",
    "evaluate": "edge_tx.scoreboard",
    "export": "edge_tx.exporters.pipeline",
    "load": "edge_tx.runtimes.loading",
    "optimize": "edge_tx.optimizing.flow",
    "prune": "edge_tx.calibration.pruning",
    "quantize": "edge_tx.calibration.flow",
    "same_space": "edge_tx.stamps",
    "sparsify": "edge_tx.calibration.sparsity",
    "tune": "edge_tx.bench.tuning",
}

__all__ = [
    "Bundle",
    "DeviceInfo",
    "EdgeTxError",
    "Model",
    "Report",
    "Training",
    "TruncationWarning",
    "__version__",
    "batch",
    "distill",
    "evaluate",
    "export",
    "load",
    "optimize",
    "prune",
    "quantize",
    "same_space",
    "sparsify",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edge_tx' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
