"""What an engineer writes without edge_tx: tokenizers and onnxruntime, nothing else.

Usage: bare.py first BUNDLE THREADS TEXT         prints one embedding's first number
       bare.py list BUNDLE THREADS SENTENCES     prints seconds and peak memory as JSON
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def open_bundle(bundle: str, threads: int):
    tokenizer = tokenizers.Tokenizer.from_file(f"{bundle}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        f"{bundle}/graphs/onnx-fp32/model.onnx", options, providers=["CPUExecutionProvider"]
    )
    return tokenizer, session


def embed_one(tokenizer, session, text):
    encoding = tokenizer.encode(text)
    return session.run(
        None,
        {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
            "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
        },
    )[0]


def embed_list(tokenizer, session, texts, size=32):
    encodings = tokenizer.encode_batch(texts)
    order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
    out = None
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        seq = len(encodings[chosen[0]].ids)
        ids = np.zeros((len(chosen), seq), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(chosen):
            count = len(encodings[index].ids)
            ids[row, :count] = encodings[index].ids
            mask[row, :count] = 1
        feeds = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
        }
        vectors = session.run(None, feeds)[0]
        if out is None:
            out = np.empty((len(texts), vectors.shape[1]), np.float32)
        out[chosen] = vectors
    return out


def main() -> None:
    what, bundle, threads, argument = sys.argv[1:]
    tokenizer, session = open_bundle(bundle, int(threads))
    if what == "first":
        print(embed_one(tokenizer, session, argument)[0, 0])
        return
    texts = json.loads(Path(argument).read_text(encoding="utf-8"))
    start = time.perf_counter()
    embed_list(tokenizer, session, texts)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
