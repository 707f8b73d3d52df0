"""The same work as bare.py, with edge_tx.

Usage: ours.py first BUNDLE THREADS TEXT         prints one embedding's first number
       ours.py list BUNDLE THREADS SENTENCES     prints seconds and peak memory as JSON
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import edge_tx


def main() -> None:
    what, bundle, threads, argument = sys.argv[1:]
    model = edge_tx.load(bundle, threads=int(threads))
    if what == "first":
        print(model.embed(argument)[0])
        return
    from edge_tx.stats import MemoryStats

    texts = json.loads(Path(argument).read_text(encoding="utf-8"))
    start = time.perf_counter()
    model.embed(texts)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_bytes": MemoryStats.read().peak_rss_bytes}))


if __name__ == "__main__":
    main()
