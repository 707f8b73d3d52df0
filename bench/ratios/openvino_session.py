"""Our OpenVINO session and model against OpenVINO's bare API, on the same graph and texts.

Usage: openvino_session.py BUNDLE [--threads N] [--rounds N] [--sentences FILE]

BUNDLE holds an OpenVINO graph of an embedding model; FILE is a JSON list of texts of mixed
length, made up if not given. In one process, everything interleaved, equal threads and float32:

* the session's call against ``compiled_model(feeds)``, per batch and length;
* a list of texts through ``edge_tx.load(...).embed`` against what an engineer writes without
  edge_tx: tokenizers, sorted by length, batches of 32, one OpenVINO call after the other.

Ratios above 1 say that edge_tx is slower (calls), or faster (list).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tokenizers

import edge_tx
from edge_tx.backends import SessionConfig
from edge_tx.bundle import Bundle
from edge_tx.runtimes.openvino import open_session
from edge_tx.tensors import Array

SHAPES = ((1, 8), (1, 32), (1, 128), (8, 32), (32, 64))


def compile_bare(entry: Path, threads: int):
    import openvino

    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return openvino.Core().compile_model(entry, "CPU", properties)


def interleaved(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    order, rng = list(calls), random.Random(0)  # noqa: S311 - no secret
    for _ in range(rounds):
        rng.shuffle(order)  # who follows whom matters: threads of the one before still spin
        for name in order:
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def report(what: str, seconds: dict[str, list[float]], over: str, under: str) -> None:
    ratios = [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
    middles = ", ".join(f"{k} {statistics.median(v) * 1e3:.2f} ms" for k, v in seconds.items())
    print(f"{what}: {over} / {under} {statistics.median(ratios):.3f}  ({middles})", flush=True)


def measure_calls(entry: Path, threads: int, rounds: int) -> None:
    session = open_session(entry, SessionConfig(threads=threads))
    compiled = compile_bare(entry, threads)
    rng = np.random.default_rng(0)
    for batch, seq in SHAPES:
        feeds = {spec.name: np.ones((batch, seq), np.int64) for spec in session.inputs}
        feeds["input_ids"] = rng.integers(5, 500, (batch, seq))
        calls = {"session": lambda f=feeds: session.run(f), "bare": lambda f=feeds: compiled(f)}
        report(f"call {batch}x{seq}", interleaved(calls, rounds), "session", "bare")
    session.close()


class BareLoop:
    """Sort by length, batch by 32, call."""

    def __init__(self, bundle: Bundle, entry: Path, threads: int) -> None:
        self.inputs = bundle.manifest.tokenizer.inputs
        self.tokenizer = tokenizers.Tokenizer.from_file(str(bundle.root / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(bundle.manifest.tokenizer.max_length)
        self.compiled = compile_bare(entry, threads)

    def embed(self, texts: list[str], size: int = 32) -> Array:
        """Vectors of texts, in their order."""
        encodings = self.tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
        out: Array = np.empty((len(texts), 0), np.float32)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            seq = len(encodings[chosen[0]].ids)
            ids = np.zeros((len(chosen), seq), np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(chosen):
                count = len(encodings[index].ids)
                ids[row, :count] = encodings[index].ids
                mask[row, :count] = 1
            columns = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
            vectors = self.compiled({name: columns[name] for name in self.inputs})[0]
            if not start:
                out = np.empty((len(texts), vectors.shape[1]), np.float32)
            out[chosen] = vectors
        return out


def measure_list(path: Path, entry: Path, texts: list[str], threads: int, rounds: int) -> None:
    with edge_tx.load(path, backend="openvino", threads=threads) as model:
        bare = BareLoop(model.bundle, entry, threads)
        error = float(np.abs(model.embed(texts) - bare.embed(texts)).max())
        if not error < 1e-4:
            sys.exit(f"the two do not do the same work: embeddings differ by {error}")
        calls = {"bare": lambda: bare.embed(texts), "edge_tx": lambda: model.embed(texts)}
        report(f"list of {len(texts)}", interleaved(calls, rounds), "bare", "edge_tx")


def made_up(count: int) -> list[str]:
    """Texts of 1 to 120 words, short ones more often, always the same."""
    rng = random.Random(0)  # noqa: S311 - no secret
    words = ("the", "river", "of", "stone", "and", "light", "sang", "unto", "us", "in", "winter")
    return [
        " ".join(rng.choices(words, k=min(120, 1 + int(rng.expovariate(1 / 18)))))
        for _ in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=100, help="of calls; a tenth of the list's")
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("--count", type=int, default=2000, help="texts to make up")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    graph = next(g for g in bundle.manifest.graphs if g.backend == "openvino")
    entry = bundle.root / graph.entry
    file = options.sentences
    texts = json.loads(file.read_text(encoding="utf-8")) if file else made_up(options.count)
    measure_calls(entry, options.threads, options.rounds)
    measure_list(options.bundle, entry, texts, options.threads, max(3, options.rounds // 10))


if __name__ == "__main__":
    main()
