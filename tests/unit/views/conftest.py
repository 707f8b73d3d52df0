"""Reports with a row of every kind, and a browser to look at their pages with."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_tx.manifest import Parity
from edge_tx.report import (
    Conditions,
    Memory,
    Noise,
    Phases,
    Report,
    ReportContext,
    ReportModel,
    ReportRow,
    Window,
)
from edge_tx.stats import LatencyStats

GRAPHS = {  # graph -> (milliseconds of a short text, MB, accuracy)
    "onnx-fp32": (4.1, 260, 0.8203),
    "onnx-dynamic_w8": (2.3, 185, 0.8187),
    "openvino-fp32": (3.9, 310, 0.8203),
    "openvino-static_w8a8": (2.6, 270, 0.8161),
    "tflite-fp32": (6.8, 240, 0.8203),
}


def samples(rng: random.Random, milliseconds: float, count: int = 200) -> tuple[int, ...]:
    """Times as they are: most near each other, some late."""
    return tuple(
        round(1e6 * milliseconds * (1 + rng.gammavariate(2, 0.03) + (rng.random() < 0.02)))
        for _ in range(count)
    )


def row(
    rng: random.Random, model: str, graph: str, batch: int, seq: int, slow: float = 1.0
) -> ReportRow:
    milliseconds, mb, score = GRAPHS[graph]
    cost = slow * milliseconds * batch**0.9 * (max(seq, 24) / 24) ** 1.1
    times = samples(rng, cost)
    stats = LatencyStats.of(times)
    part = [LatencyStats.of([round(t * share) for t in times]) for share in (0.05, 0.93, 0.02)]
    mixed = seq == 0
    return ReportRow(
        graph=graph,
        backend=graph.partition("-")[0],
        precision=graph.partition("-")[2],
        threads=2,
        batch=batch,
        seq=seq,
        size_bytes=90_300_000 if "fp32" in graph else 23_400_000,
        model=model,
        device="cpu",
        provider="CPU",
        parity=Parity(20, 3.1e-7, 0.9999999, 1.0),
        accuracy={"spearman": score} if mixed else {},
        load_ns=210_000_000,
        first_answer_ns=9_000_000,
        latency=stats,
        phases=Phases(*part) if mixed else None,
        throughput=stats.per_second(batch),
        memory=Memory(peak_bytes=int((mb + batch * seq / 20) * 1e6)),
        samples_ns=times,
        sustained=tuple(
            Window(i * 10**9, LatencyStats.of(samples(rng, cost * (1 + i / 100), 20)))
            for i in range(60 if mixed else 0)
        ),
    )


def rows(model: str = "all-MiniLM-L6-v2", slow: float = 1.0, seed: int = 0) -> list[ReportRow]:
    rng = random.Random(seed)
    cells = [(1, 0), *((1, seq) for seq in (16, 64, 128, 256)), *((b, 64) for b in (4, 16))]
    return [row(rng, model, graph, *cell, slow) for graph in GRAPHS for cell in cells]


def bad_rows(model: str = "all-MiniLM-L6-v2") -> list[ReportRow]:
    lost: list[tuple[str, str, str, str]] = [
        ("tensorrt-fp16", "skipped", "", "tensorrt needs an NVIDIA GPU, and there is none here"),
        ("tflite-static_w8a8", "failed", "killed", "the process was killed by signal 9"),
        ("openvino-fp16", "failed", "out-of-memory", "no memory left under the limit of 512 MB"),
    ]
    return [
        ReportRow(
            graph=graph,
            backend=graph.partition("-")[0],
            precision=graph.partition("-")[2],
            threads=2,
            batch=1,
            seq=0,
            size_bytes=45_000_000,
            model=model,
            status=status,
            failure=failure,
            note=note,
        )
        for graph, status, failure, note in lost
    ]


def report(
    rows: list[ReportRow], models: tuple[str, ...] = ("all-MiniLM-L6-v2",), **context: Any
) -> Report:
    defaults: dict[str, Any] = {
        "device": {
            "architecture": "x86_64",
            "cpu": {"model": "AMD EPYC", "logical_cores": 2, "instruction_sets": ["avx2"]},
            "memory_bytes": 25_276_502_016,
            "accelerators": [],
        },
        "versions": {"edge_tx": "0.1.0", "onnxruntime": "1.32.0"},
        "created": "2026-01-02T03:04:05+00:00",
        "models": tuple(ReportModel(n, "sentence-embedding", n, f"{n}.bundle") for n in models),
        "settings": {"seed": 0, "seconds": 3.0},
        "before": Conditions(governor="performance", load_average=(0.1, 0.2, 0.3)),
        "after": Conditions(governor="performance", load_average=(1.9, 0.9, 0.5)),
        "noise": Noise(2, 0.081, False, "noisy: the same cell differed by 8.1 % from itself"),
        "unmeasured": {"energy": "no counter can be read here"},
    }
    return Report(ReportContext(**(defaults | context)), tuple(rows))
