"""Attention masks as plain sums, instead of the lookups that transformers writes.

transformers builds a mask by indexing a table of booleans, which becomes a GATHER_ND of
version 5: TFLite runtimes before LiteRT refuse it. An additive mask of our own says the same
with one multiplication. It is put in the place of transformers' "eager" mask function, the
extension point that all families with a common attention read (``AttentionMaskInterface``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.attention import written_out_attention

if TYPE_CHECKING:
    import torch

__all__ = ["FILL", "additive_masks"]

#: What is added to the score of a token that must not be seen. In fp32 ``exp(-1e4)`` is exactly
#: 0 beside any score a network gives, as with transformers' own -3.4e38; and scores with this in
#: them still have a range that can be described, where -3.4e38 leaves a calibrator nothing.
FILL = -1e4


@contextmanager
def additive_masks(module: torch.nn.Module) -> Iterator[None]:
    """Makes every transformers model inside mask by addition, as long as the block lasts.

    Args:
        module: Holds one or more models of transformers.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    ALL_MASK_ATTENTION_FUNCTIONS["eager"] = _additive_mask
    try:
        with written_out_attention(module):
            yield
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["eager"]


def _additive_mask(
    *,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., Any],
    attention_mask: torch.Tensor | None,
    dtype: torch.dtype,
    use_vmap: bool = False,
    **_: Any,
) -> torch.Tensor:
    """Takes what transformers gives a mask function; returns ``dtype[batch, 1, 1 or q, kv]``."""
    import torch

    if attention_mask is None or use_vmap:
        raise UnsupportedModel("the model masks its attention in a way of its own, not by padding")
    padding = (1.0 - attention_mask.to(dtype))[:, None, None, :] * FILL
    queries, keys = torch.arange(q_length)[:, None], torch.arange(kv_length)[None, :]
    seen = mask_function(0, 0, queries, keys)
    if seen.ndim == 0:  # every token sees every other: nothing but the padding counts
        return padding
    return torch.where(seen[None, None], padding, torch.tensor(FILL, dtype=dtype))
