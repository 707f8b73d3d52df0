"""optimum's ORTModel, with the loop and the pooling that its user must add.

The loop is a kind one: batches of 32 of like length, as sentence-transformers makes them.
"""

from __future__ import annotations

from typing import Any

from measuring import Job, Many, One, main

_BATCH = 32
_MOST_TOKENS = 256


def load(job: Job) -> tuple[One, Many]:
    import numpy as np
    import onnxruntime
    from optimum.onnxruntime import ORTModelForFeatureExtraction
    from transformers import AutoTokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    model = ORTModelForFeatureExtraction.from_pretrained(
        job.model,
        subfolder="onnx",
        file_name="model.onnx",
        provider="CPUExecutionProvider",
        session_options=options,
    )

    def batch(texts: list[str]) -> Any:
        feeds = tokenizer(
            texts, padding=True, truncation=True, max_length=_MOST_TOKENS, return_tensors="np"
        )
        hidden = model(**feeds).last_hidden_state
        mask = feeds["attention_mask"][..., None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def many(texts: list[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        parts = [
            batch([texts[i] for i in order[at : at + _BATCH]])
            for at in range(0, len(order), _BATCH)
        ]
        out = np.empty((len(texts), parts[0].shape[1]), np.float32)
        out[order] = np.concatenate(parts)
        return out

    return (lambda text: batch([text])[0]), many


if __name__ == "__main__":
    main(load, ("optimum", "optimum-onnx", "transformers", "onnxruntime", "torch"))
