"""transformers' feature-extraction pipeline, with the pooling that its user must add.

Its answers to a padded batch include the padding, which then cannot be told from the text, so
a list is answered one by one: the pipeline's default.
"""

from __future__ import annotations

from typing import Any

from measuring import Job, Many, One, main

_MOST_TOKENS = 256


def load(job: Job) -> tuple[One, Many]:
    import torch
    from transformers import pipeline

    torch.set_num_threads(job.threads)
    extract = pipeline("feature-extraction", model=job.model, device="cpu")
    cut = {"truncation": True, "max_length": _MOST_TOKENS}

    def one(text: str) -> Any:
        tokens = extract(text, return_tensors=True, tokenize_kwargs=cut)
        return _pooled(tokens)

    def many(texts: list[str]) -> Any:
        answers = extract(texts, return_tensors=True, tokenize_kwargs=cut)
        return torch.stack([_pooled(tokens) for tokens in answers]).numpy()

    def _pooled(tokens: Any) -> Any:
        return torch.nn.functional.normalize(tokens[0].mean(0), dim=0)

    return one, many


if __name__ == "__main__":
    main(load, ("transformers", "torch"))
