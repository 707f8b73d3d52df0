"""fastembed, with a model of one's own from a folder."""

from __future__ import annotations

from typing import Any

from measuring import Job, Many, One, main

_NAME = "local/all-MiniLM-L6-v2"
_DIMENSIONS = 384


def load(job: Job) -> tuple[One, Many]:
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        _NAME,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=_NAME),  # must be named; the folder below is used instead
        dim=_DIMENSIONS,
        model_file="onnx/model.onnx",
    )
    model = TextEmbedding(
        _NAME,
        threads=job.threads,
        specific_model_path=job.model,
        providers=["CPUExecutionProvider"],
    )

    def many(texts: list[str]) -> Any:
        return np.stack(list(model.embed(texts)))

    return (lambda text: next(iter(model.embed([text])))), many


if __name__ == "__main__":
    main(load, ("fastembed", "onnxruntime", "tokenizers", "numpy"))
