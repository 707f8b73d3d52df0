"""What pruning costs and brings without retraining, in Markdown.

    python bench/prune.py --work /tmp/prune                   every row
    python bench/prune.py --work /tmp/prune --rows sst2-60,sst2-50

The models and data are those of a folder beside the checkout (EDGE_TX_SHARED names another). A
row that is already in ``rows.json`` of the work folder is not measured again. Close everything
else that computes: times are of this machine while it is quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_tx
from edge_tx.backends import SessionConfig, open_session
from edge_tx.calibration.pruning import prune
from edge_tx.calibration.speed import compare
from edge_tx.device import usable_threads
from edge_tx.text import Row

BACKENDS = ("onnx", "openvino")
SEQ = 128


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes:
        model: Folder under ``models``.
        train: File under ``data`` to look at.
        dev: File under ``data`` to measure on.
        metric: That is measured.
    """

    model: str
    train: str
    dev: str
    metric: str


CASES: Mapping[str, Case] = {
    "sst2": Case("sst2-minilm", "sst2/train.jsonl.gz", "sst2/dev.jsonl", "accuracy"),
    "btc": Case("btc-ner-minilm", "btc/train.jsonl", "btc/test.jsonl", "f1"),
    "squad": Case("squad-minilm", "xquad_en/test.jsonl", "squad_v11/dev-600.jsonl", "f1"),
}


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        case: Key of :data:`CASES`.
        about: What is done, for the table.
        options: Of :func:`edge_tx.calibration.pruning.prune`.
        run: Measures the row.
        drop: Points that the metric may lose.
        speedup: Times as fast that it must be.
    """

    case: str
    about: str
    options: Mapping[str, Any]
    run: Callable[[Setting, Path, Path], dict[str, Any]]
    drop: float
    speedup: float


def pruned(setting: Setting, shared: Path, work: Path) -> dict[str, Any]:
    """Prunes, and times both models on every backend."""
    case = CASES[setting.case]
    begun = time.perf_counter()
    done = prune(
        shared / "models" / case.model,
        work / "pruned",
        data=shared / "data" / case.train,
        dev=shared / "data" / case.dev,
        metric=case.metric,
        measure=BACKENDS,
        progress=lambda step, *_: print(f"  {step}", file=sys.stderr) if step else None,
        **setting.options,
    )
    speeds = {name: paces[-1].speedup for name, paces in done.paces.items()}
    return {
        "before": done.score_before or 0.0,
        "after": done.score_after or 0.0,
        "flops": done.flops_ratio,
        "parameters": done.after.parameters / done.before.parameters,
        "speedup": speeds,
        "seconds": time.perf_counter() - begun,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "layers": done.to_dict()["layers"],
    }


def quantized(setting: Setting, shared: Path, work: Path) -> dict[str, Any]:
    """Prunes, exports, quantises to int8, and times it against the model as it was in fp32."""
    case = CASES[setting.case]
    model, dev = shared / "models" / case.model, shared / "data" / case.dev
    row = pruned(setting, shared, work)
    edge_tx.export(model, work / "before.bundle", max_length=SEQ)
    edge_tx.export(work / "pruned", work / "after.bundle", max_length=SEQ)
    done = edge_tx.quantize(
        work / "after.bundle", backend="onnx", recipe="dynamic_w8", data=dev,
        metric=case.metric, max_drop=0.02, goal="size",
    )  # fmt: skip
    [outcome] = done.outcomes
    with done.bundle as after, edge_tx.Bundle.open(work / "before.bundle") as before:
        config = SessionConfig(threads=usable_threads())
        graph = after.graph(outcome.graph)
        rows = [
            Row(i, e.ids, e)
            for i, e in enumerate(after.tokenizer().encode(["a film of few words"] * 8))
        ]
        with (
            closing(open_session("onnx", before.entry(before.graphs[0]), config)) as fp32,
            closing(open_session("onnx", after.entry(graph), config)) as int8,
        ):
            policy = after.manifest.tokenizer
            pace = compare(fp32, int8, rows, policy.inputs, SEQ)[-1]
    return {**row, "after": outcome.score or 0.0, "speedup": {"onnx": pace.speedup}}


ROWS: Mapping[str, Setting] = {
    "sst2-60": Setting("sst2", "60 % of operations", {"target_flops": 0.6}, pruned, 0.4, 1.45),
    "sst2-50": Setting("sst2", "50 % of operations", {"target_flops": 0.5}, pruned, 0.8, 1.7),
    "sst2-40": Setting("sst2", "40 % of operations", {"target_flops": 0.4}, pruned, 2.0, 2.1),
    "btc-60": Setting("btc", "60 % of operations", {"target_flops": 0.6}, pruned, 1.0, 1.45),
    "sst2-60-int8": Setting(
        "sst2", "60 % of operations, dynamic int8", {"target_flops": 0.6}, quantized, 1.0, 2.4
    ),
    "sst2-latency-60": Setting(
        "sst2", "60 % of the time, ONNX Runtime", {"target_latency": 0.6}, pruned, 0.4, 1.6,
    ),
    "sst2-60-plain": Setting(
        "sst2", "60 % of operations, plain", {"target_flops": 0.6, "plain": True}, pruned, 2.0, 1.45
    ),
    "sst2-50-fisher": Setting(
        "sst2", "50 % of operations, Fisher masks", {"target_flops": 0.5, "method": "fisher"},
        pruned, 1.5, 1.7,
    ),
}  # fmt: skip


def main() -> int:
    """Measures what is asked for, and prints the table; 1 if a row misses its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    args = parser.parse_args()
    shared = Path(os.environ.get("EDGE_TX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    args.work.mkdir(parents=True, exist_ok=True)
    store = args.work / "rows.json"
    found = json.loads(store.read_text()) if store.exists() else {}
    names = args.rows.split(",")
    for name in names:
        if name not in found:
            print(name, file=sys.stderr)
            folder = args.work / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            found[name] = ROWS[name].run(ROWS[name], shared, folder)
            store.write_text(json.dumps(found, indent=1))
    print(table({name: found[name] for name in names}))
    return int(any(_missed(ROWS[name], found[name]) for name in names))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one line for each row."""
    lines = [
        "| model | setting | before | after | drop (allowed) | times as fast, "
        f"{' / '.join(BACKENDS)} (wanted) | parameters | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        setting = ROWS[name]
        speeds = " / ".join(f"{value:.2f}" for value in row["speedup"].values())
        lines.append(
            f"| {CASES[setting.case].model} | {setting.about} | {100 * row['before']:.2f} | "
            f"{100 * row['after']:.2f} | {100 * (row['before'] - row['after']):.2f} "
            f"({setting.drop}) | {speeds} ({setting.speedup}) | {row['parameters']:.0%} | "
            f"{row['seconds']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _missed(setting: Setting, row: Mapping[str, Any]) -> bool:
    slow = min(row["speedup"].values()) < setting.speedup
    return slow or 100 * (row["before"] - row["after"]) > setting.drop + 1e-9


if __name__ == "__main__":
    sys.exit(main())
