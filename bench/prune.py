"""What pruning costs and brings without retraining, in Markdown.

    python bench/prune.py --work /tmp/prune                      every row
    python bench/prune.py --work /tmp/prune --rows sst2-60
    python bench/prune.py --work /tmp/prune --step cut           all that needs no quiet machine
    python bench/prune.py --work /tmp/prune --step time          the times, from what is there

The models and data are those of a folder beside the checkout (EDGE_TX_SHARED names another). What
the work folder already holds is not made again. Close everything else that computes for the times:
the graph of the model as it was and that of the smaller one run in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edge_tx
from edge_tx.backends import Session, SessionConfig, open_session
from edge_tx.device import usable_threads

SEQ = 128
_WARM_NS = 1_000_000_000
_BLOCK_NS = 300_000_000
_TURNS = 10


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes:
        model: Folder under ``models``.
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
}


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        case: Key of :data:`CASES`.
        about: What is done, for the table.
        options: Of :func:`edge_tx.prune`.
        drop: Points that the metric may lose; None if nobody has said.
        speedup: Times as fast that it must be; None if nobody has said.
        graphs: That are timed.
        recipe: The pruned graph is quantised with; empty if it is not.
    """

    case: str
    about: str
    options: Mapping[str, Any]
    drop: float | None = None
    speedup: float | None = None
    graphs: tuple[str, ...] = ("onnx-fp32", "openvino-fp32")
    recipe: str = ""


def _flops(share: float, **more: Any) -> dict[str, Any]:
    return {"target_flops": share, **more}


ROWS: Mapping[str, Setting] = {
    "sst2-60": Setting("sst2", "60 % of operations", _flops(0.6), 0.4, 1.45),
    "sst2-50": Setting("sst2", "50 % of operations", _flops(0.5), 0.8, 1.7),
    "sst2-40": Setting("sst2", "40 % of operations", _flops(0.4), 2.0, 2.1),
    "btc-60": Setting("btc", "60 % of operations", _flops(0.6), 1.0, 1.45),
    "sst2-60-int8": Setting(
        "sst2", "60 % of operations, dynamic int8", _flops(0.6), 1.0, 2.4,
        ("onnx-dynamic_w8",), "dynamic_w8",
    ),
    "squad-60": Setting("squad", "60 % of operations", _flops(0.6)),
    "sst2-60-latency": Setting("sst2", "60 % of the time", {"target_latency": 0.6}),
    "sst2-60-plain": Setting("sst2", "60 % of operations, plain", _flops(0.6, plain=True)),
    "sst2-40-fisher": Setting(
        "sst2", "40 % of operations, Fisher masks", _flops(0.4, method="fisher")
    ),
}  # fmt: skip


@dataclass
class Folder:
    """The work folder.

    Attributes:
        root: Where it is.
        shared: Models and data.
    """

    root: Path
    shared: Path
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        if self._store.exists():
            self.found = json.loads(self._store.read_text())

    @property
    def _store(self) -> Path:
        return self.root / "rows.json"

    def keep(self, name: str, **values: Any) -> None:
        """Adds to what is known of a row."""
        self.found[name] = self.found.get(name, {}) | values
        self._store.write_text(json.dumps(self.found, indent=1))

    def bundle(self, name: str, model: Path, case: Case, graphs: tuple[str, ...]) -> Path:
        """Exports a model for the backends of graphs, once."""
        path = self.root / f"{name}.bundle"
        backends = sorted({graph.partition("-")[0] for graph in graphs})
        if not path.exists():
            edge_tx.export(model, path, to=backends, max_length=case.max_length)
        return path


def cut(work: Folder, name: str) -> None:
    """Prunes, measures the metric, and exports both models."""
    setting = ROWS[name]
    case, data = CASES[setting.case], work.shared / "data"
    model = work.shared / "models" / case.model
    folder = work.root / name
    if not folder.exists():
        begun = time.perf_counter()
        done = edge_tx.prune(
            model, folder, data=data / case.train, dev=data / case.dev, metric=case.metric,
            progress=lambda step, *_: print(f"  {step}", file=sys.stderr), **setting.options,
        )  # fmt: skip
        peak = Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2]
        work.keep(
            name, before=done.score_before, after=done.score_after, flops=done.flops_ratio,
            parameters=done.after.encoder_parameters / done.before.encoder_parameters,
            seconds=time.perf_counter() - begun, peak_mb=int(peak.split()[0]) / 1024,
        )  # fmt: skip
    work.bundle(setting.case, model, case, ("onnx-fp32", "openvino-fp32"))
    path = work.bundle(name, folder, case, setting.graphs)
    if setting.recipe and "recipe" not in work.found[name]:
        with edge_tx.quantize(
            path, recipe=setting.recipe, data=data / case.train, dev=data / case.dev,
            metric=case.metric, max_drop=0.05, goal="size",
        ).bundle:  # fmt: skip
            pass
        board = edge_tx.evaluate(path, data / case.dev, case.metric, graphs=setting.graphs)
        work.keep(name, after=board.rows[0].scores[case.metric], recipe=setting.recipe)


def times(work: Folder, name: str) -> None:
    """Times the graph of the model as it was, in fp32, and that of the pruned one, in turns."""
    setting = ROWS[name]
    config = SessionConfig(threads=usable_threads())
    speeds = {}
    paths = (work.root / f"{setting.case}.bundle", work.root / f"{name}.bundle")
    with edge_tx.Bundle.open(paths[0]) as before, edge_tx.Bundle.open(paths[1]) as after:
        for graph in setting.graphs:
            old, new = before.graph(f"{graph.partition('-')[0]}-fp32"), after.graph(graph)
            with (
                closing(open_session(old.backend, before.entry(old), config)) as one,
                closing(open_session(new.backend, after.entry(new), config)) as other,
            ):
                speeds[graph] = _speedup(one, other)
    work.keep(name, speedup=speeds)


def _speedup(one: Session, other: Session) -> float:
    """Medians of calls on one row of random tokens; blocks of calls alternate."""
    ids = np.random.default_rng(0).integers(1000, 20000, (1, SEQ))
    known = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feeds = {spec.name: known.get(spec.name, np.zeros_like(ids)) for spec in one.inputs}
    for session in (one, other):
        _block(session, feeds, _WARM_NS)
    samples: tuple[list[int], list[int]] = ([], [])
    for turn in range(_TURNS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            samples[which].extend(_block((one, other)[which], feeds, _BLOCK_NS))
    return statistics.median(samples[0]) / statistics.median(samples[1])


def _block(session: Session, feeds: Any, patience_ns: int) -> list[int]:
    found: list[int] = []
    begun = time.perf_counter_ns()
    while time.perf_counter_ns() - begun < patience_ns or len(found) < 2:
        start = time.perf_counter_ns()
        session.run(feeds)
        found.append(time.perf_counter_ns() - start)
    return found[1:]


STEPS = {"cut": (cut,), "time": (times,), "all": (cut, times)}


def main() -> int:
    """Measures what is asked for and prints the table; 1 if a row misses its numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--step", choices=STEPS, default="all")
    args = parser.parse_args()
    shared = Path(os.environ.get("EDGE_TX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    work = Folder(args.work, shared)
    names = args.rows.split(",")
    for name in names:
        for step in STEPS[args.step]:
            print(f"{name}: {step.__name__}", file=sys.stderr)
            step(work, name)
    print(table({name: work.found[name] for name in names}))
    return int(any(_missed(ROWS[name], work.found[name]) for name in names))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one line for each row."""
    lines = [
        "| model | setting | metric before | after | drop (allowed) | times as fast (wanted) "
        "| weights of the layers | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        setting = ROWS[name]
        speeds = ", ".join(f"{k} {v:.2f}" for k, v in row.get("speedup", {}).items())
        lines.append(
            f"| {CASES[setting.case].model} | {setting.about} | {100 * row['before']:.2f} "
            f"| {100 * row['after']:.2f} | {_drop(row):.2f} ({setting.drop or '-'}) "
            f"| {speeds} ({setting.speedup or '-'}) | {row['parameters']:.0%} "
            f"| {row['seconds']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _drop(row: Mapping[str, Any]) -> float:
    return 100 * float(row["before"] - row["after"])


def _missed(setting: Setting, row: Mapping[str, Any]) -> bool:
    slowest = min(row.get("speedup", {"": float("inf")}).values())
    too_slow = setting.speedup is not None and slowest < setting.speedup
    return too_slow or (setting.drop is not None and _drop(row) > setting.drop + 1e-9)


if __name__ == "__main__":
    sys.exit(main())
