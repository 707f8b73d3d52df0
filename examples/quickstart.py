"""Embeds three sentences and compares them: ``python examples/quickstart.py BUNDLE``.

Make the bundle first: ``edge-tx export all-MiniLM-L6-v2 -o minilm.bundle``.
"""

from __future__ import annotations

import sys

import edge_tx

SENTENCES = [
    "A cat sits on the mat.",
    "A kitten rests on a rug.",
    "Stocks fell sharply on Monday.",
]


def main(path: str) -> None:
    """Prints where the model runs and how alike the sentences are."""
    with edge_tx.load(path) as model:
        placement = model.describe().placement
        print(f"{placement.runtime} on {placement.device}, {placement.threads} threads")
        vectors = model.embed(SENTENCES)
    for sentence, row in zip(SENTENCES, vectors @ vectors.T, strict=True):
        print(" ".join(f"{cosine:6.3f}" for cosine in row), sentence)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
