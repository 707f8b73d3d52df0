"""Our TFLite session's call against the vendor's bare ones, on the same graph and feeds.

Usage: tflite_session.py GRAPH [--threads N] [--rounds N]

For every bucket of the graph, in one process and interleaved: the session of edge_tx with the
feeds that a Model makes (int64) and with those that the graph takes (int32), LiteRT's Interpreter
and its CompiledModel with the latter. Session and Interpreter are one
opened graph: two of the same file differ by up to 4 % by where their weights come to lie. Then,
in a fresh process each, what the Interpreter and the CompiledModel take to open the graph, in
memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from ai_edge_litert.compiled_model import (
    CompiledModel,
    CpuOptions,
    HardwareAccelerator,
    Options,
)
from ai_edge_litert.interpreter import Interpreter

from edge_tx.backends import SessionConfig
from edge_tx.runtimes.tflite import open_session
from edge_tx.tensors import Array

Feeds = dict[str, Array]
Call = Callable[[], Feeds]


def compiled_model(graph: Path, threads: int) -> CompiledModel:
    cpu = CpuOptions(num_threads=threads, xnnpack_weight_cache_path=":memory:")
    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=cpu)
    return CompiledModel.from_file(str(graph), options=options)


def compiled_call(model: CompiledModel, signature: str, feeds: Feeds) -> Call:
    names = model.get_signature_list()[signature]
    details = model.get_output_tensor_details(signature)
    inputs = {n: model.create_input_buffer_by_name(signature, n) for n in names["inputs"]}
    outputs = {n: model.create_output_buffer_by_name(signature, n) for n in names["outputs"]}

    def call() -> Feeds:
        for name, buffer in inputs.items():
            buffer.write(feeds[name])
        model.run_by_name(signature, inputs, outputs)
        return {
            name: buffer.read(int(np.prod(details[name]["shape"])), np.float32)
            for name, buffer in outputs.items()
        }

    return call


def interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
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


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    pairs = zip(seconds[name], seconds["Interpreter"], strict=True)
    return statistics.median(a / b for a, b in pairs)


def speed(graph: Path, threads: int, rounds: int) -> None:
    session = open_session(graph, SessionConfig(threads=threads))
    [opened] = session._idle.queue
    compiled = compiled_model(graph, threads)
    rng = np.random.default_rng(0)
    for bucket in session.buckets:
        shape = (bucket.batch, bucket.length)
        feeds = {spec.name: np.ones(shape, np.int32) for spec in session.inputs}
        feeds["input_ids"] = rng.integers(5, 500, shape, dtype=np.int32)
        wide = {name: array.astype(np.int64) for name, array in feeds.items()}
        runner = opened._signatures[bucket.name]
        seconds = interleaved(
            {
                "session": partial(session.run, wide),
                "narrow": partial(session.run, feeds),
                "Interpreter": partial(runner, **feeds),
                "CompiledModel": compiled_call(compiled, bucket.name, feeds),
            },
            rounds,
        )
        middle = {name: statistics.median(values) for name, values in seconds.items()}
        print(
            f"{bucket.name}: Interpreter {middle['Interpreter'] * 1e3:.2f} ms; "
            f"session / Interpreter {ratio(seconds, 'narrow'):.3f} with its own types, "
            f"{ratio(seconds, 'session'):.3f} with int64; "
            f"Interpreter / CompiledModel {middle['Interpreter'] / middle['CompiledModel']:.3f}"
        )


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def memory(graph: Path, threads: int, what: str) -> None:
    feeds: Feeds = {}
    if what == "Interpreter":
        interpreter = Interpreter(str(graph), num_threads=threads)
        for name in interpreter.get_signature_list():
            runner = interpreter.get_signature_runner(name)
            details = runner.get_input_details()
            feeds = {n: np.ones(d["shape"], d["dtype"]) for n, d in details.items()}
            runner(**feeds)
    elif what == "CompiledModel":
        model = compiled_model(graph, threads)
        for name in model.get_signature_list():
            details = model.get_input_tensor_details(name)
            feeds = {n: np.ones(d["shape"], np.int32) for n, d in details.items()}
            compiled_call(model, name, feeds)()
    print(peak_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--memory", choices=["nothing", "Interpreter", "CompiledModel"])
    options = parser.parse_args()
    if options.memory:
        memory(options.graph, options.threads, options.memory)
        return
    speed(options.graph, options.threads, options.rounds)
    for what in ("nothing", "Interpreter", "CompiledModel"):
        done = subprocess.run(
            [sys.executable, __file__, str(options.graph), "--memory", what],
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"peak with {what} open: {int(done.stdout) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
