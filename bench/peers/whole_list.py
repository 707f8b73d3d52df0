"""One peer on a long list of texts: ``whole_list.py KIND MODEL ROWS VECTORS``, in its own Python.

Prints the seconds as JSON; loading, and a first list that warms the peer up, are not in them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

# Embeds a list, as the peer's own documentation does it.
Many = Callable[[list[str]], Any]

_WARM_UP_ROWS = 256


def sentence_transformers(model: str, backend: str, **model_kwargs: Any) -> Many:
    """sentence-transformers, which sorts the list by length."""
    from sentence_transformers import SentenceTransformer

    opened = SentenceTransformer(
        model, device="cpu", backend=backend, local_files_only=True, model_kwargs=model_kwargs
    )
    return lambda texts: opened.encode(texts, batch_size=32, show_progress_bar=False)


def fastembed(model: str) -> Many:
    """fastembed, with a model of one's own from a folder."""
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = "local/all-MiniLM-L6-v2"
    TextEmbedding.add_custom_model(
        name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),  # must be named; the folder is used instead
        dim=384,
        model_file="onnx/model.onnx",
    )
    opened = TextEmbedding(name, specific_model_path=model, providers=["CPUExecutionProvider"])
    return lambda texts: np.stack(list(opened.embed(texts)))


LOADERS: dict[str, Callable[[str], Many]] = {
    "torch": lambda model: sentence_transformers(model, "torch"),
    "onnx": lambda model: sentence_transformers(
        model, "onnx", provider="CPUExecutionProvider", file_name="onnx/model.onnx"
    ),
    # Its default: bfloat16 on processors that have it.
    "openvino": lambda model: sentence_transformers(model, "openvino"),
    "openvino-f32": lambda model: sentence_transformers(
        model, "openvino", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    ),
    "fastembed": fastembed,
}


def main() -> None:
    kind, model, rows, vectors = sys.argv[1:]
    with open(rows, encoding="utf-8") as lines:  # noqa: PTH123 - a script of few imports
        texts = [json.loads(line)["text"] for line in lines]
    many = LOADERS[kind](model)
    many(texts[:_WARM_UP_ROWS])
    began = time.perf_counter()
    found = many(texts)
    seconds = time.perf_counter() - began

    import numpy as np

    np.save(vectors, np.asarray(found, np.float32))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
