"""What a graph is traced with."""

from __future__ import annotations

from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer, collate

__all__ = ["example"]

_TEXTS = ("One short text.", "Another, with a few more words in it than the first has.")


def example(traced: Traced) -> dict[str, Array]:
    """Two rows of different length: neither axis has size 1, which a tracer would fix.

    Returns:
        ``int64[2, seq]`` by input name.
    """
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    rows = [Row(i, e.ids, e) for i, e in enumerate(tokenizer.encode(_TEXTS))]
    return collate(rows, traced.policy)
