"""Attention written out in plain operators, for as long as a graph is traced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["written_out_attention"]


@contextlib.contextmanager
def written_out_attention(module: Any) -> Iterator[None]:
    """Switches every transformers model inside to the ``eager`` attention, and back.

    Matrix product, mask and softmax as nodes of their own: what converters make of torch's fused
    call guards every softmax against rows without any key, or masks with infinity.

    Args:
        module: Holds one or more models of transformers.
    """
    from transformers import PreTrainedModel

    before = {m: m.config._attn_implementation for m in _outermost(module, PreTrainedModel)}
    try:
        for model in before:
            model.set_attn_implementation("eager")
        yield
    finally:
        for model, name in before.items():
            model.set_attn_implementation(name)


def _outermost(module: Any, kind: type) -> Iterator[Any]:
    if isinstance(module, kind):
        yield module
        return
    for child in module.children():
        yield from _outermost(child, kind)
