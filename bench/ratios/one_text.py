"""One short text, again and again, by edge_tx and by the bare loop, in one process.

Usage: one_text.py BUNDLE THREADS TEXT FIRST     prints seconds of a call as JSON

FIRST, ``bare`` or ``ours``, is opened first. Where in memory a session's weights come to lie makes
one of two equal ones faster by up to a tenth for as long as the process lives, so one process
tells little: ``onnx_model.py`` starts several, each of the two first in half of them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import bare

import edge_tx

TURNS, BLOCK, UNTIMED = 16, 50, 10


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    bundle, threads, text, first = sys.argv[1:]

    def open_bare() -> Callable[[], object]:
        tokenizer, session = bare.open_bundle(bundle, int(threads))
        return lambda: bare.embed_one(tokenizer, session, text)

    def open_ours() -> Callable[[], object]:
        model = edge_tx.load(bundle, threads=int(threads))
        return lambda: model(text)

    makers = {"bare": open_bare, "ours": open_ours}
    calls = {name: makers[name]() for name in sorted(makers, key=lambda name: name != first)}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    # In blocks: call by call, each session's worker threads, which spin for a while after a
    # call, would take the other's processor.
    for turn in range(TURNS):
        for name in sorted(calls, reverse=bool(turn % 2)):
            block = [seconds(calls[name]) for _ in range(BLOCK)]
            samples[name] += block[UNTIMED:]
    print(json.dumps({name: median(found) for name, found in samples.items()}))


if __name__ == "__main__":
    main()
