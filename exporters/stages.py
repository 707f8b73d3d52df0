"""What sentence-transformers does after the transformer, as modules that every exporter takes.

Each takes and returns the features of a batch by name: ``token_embeddings`` is
``float32[batch, seq, D]``, ``attention_mask`` ``int64[batch, seq]``, ``sentence_embedding``
``float32[batch, D]``. The formulas are sentence-transformers' own
(https://sbert.net/docs/package_reference/sentence_transformer/modules.html), for rows padded on
either side. Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["POOLING_MODES", "Affine", "Features", "Normalize", "Pooling", "Truncate"]

Features = dict[str, Tensor]

# Keeps a row of nothing but padding from dividing by zero.
_TINY = 1e-9


def _positions(mask: Tensor) -> Tensor:
    return torch.arange(mask.shape[1], device=mask.device, dtype=torch.int32)


def _first(mask: Tensor) -> Tensor:
    """``int64[batch]``: index of each row's first token."""
    # In int32, as ONNX Runtime has no ArgMax of int64 on the CPU.
    return mask.to(torch.int32).argmax(dim=1)


def _take(tokens: Tensor, index: Tensor) -> Tensor:
    wide = index.to(torch.int64).view(-1, 1, 1).expand(-1, 1, tokens.shape[-1])
    return torch.gather(tokens, 1, wide).squeeze(1)


def _sums(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(dim=1), weights.sum(dim=1).clamp(min=_TINY)


def _cls(tokens: Tensor, mask: Tensor) -> Tensor:
    return _take(tokens, _first(mask))


def _max(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _mean(tokens: Tensor, mask: Tensor) -> Tensor:
    total, count = _sums(tokens, mask)
    return total / count


def _mean_sqrt_len(tokens: Tensor, mask: Tensor) -> Tensor:
    total, count = _sums(tokens, mask)
    return total / count.sqrt()


def _weighted_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    # The first token weighs 1, the second 2... (https://arxiv.org/abs/2202.08904)
    rank = _positions(mask) + 1 - _first(mask).to(torch.int32).unsqueeze(1)
    return _mean(tokens, mask * rank)


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    return _take(tokens, (mask.to(torch.int32) * _positions(mask)).amax(dim=1))


# In the order in which sentence-transformers joins them when a config has several flags set.
POOLING_MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}


class Pooling(torch.nn.Module):  # type: ignore[misc]
    """Token embeddings to one embedding per row; several modes are joined end to end.

    Args:
        modes: Names of :data:`POOLING_MODES`.
    """

    def __init__(self, modes: Sequence[str]) -> None:
        super().__init__()
        self.modes = tuple(modes)

    def forward(self, features: Features) -> Features:
        """Adds ``sentence_embedding``."""
        tokens, mask = features["token_embeddings"], features["attention_mask"]
        pooled = [POOLING_MODES[mode](tokens, mask) for mode in self.modes]
        joined = pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)
        return {**features, "sentence_embedding": joined}


class Affine(torch.nn.Module):  # type: ignore[misc]
    """A layer on one feature: Dense with its activation, or LayerNorm.

    Args:
        layer: Applied first.
        activation: Applied to its output.
        residual: Of the layer's input, added at the end; None for no residual.
        reads: Name of the feature it takes.
        writes: Name of the feature it gives.
    """

    def __init__(
        self,
        layer: torch.nn.Module,
        activation: torch.nn.Module,
        residual: torch.nn.Module | None,
        reads: str,
        writes: str,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.activation = activation
        self.residual = residual
        self.reads = reads
        self.writes = writes

    def forward(self, features: Features) -> Features:
        """Gives the feature it writes."""
        value = features[self.reads]
        out = self.activation(self.layer(value))
        if self.residual is not None:
            out = out + self.residual(value)
        return {**features, self.writes: out}


class Normalize(torch.nn.Module):  # type: ignore[misc]
    """Scales a feature to length 1.

    Args:
        reads: Name of the feature it takes.
        writes: Name of the feature it gives.
    """

    def __init__(self, reads: str, writes: str) -> None:
        super().__init__()
        self.reads = reads
        self.writes = writes

    def forward(self, features: Features) -> Features:
        """Gives the feature it writes."""
        unit = torch.nn.functional.normalize(features[self.reads], p=2.0, dim=-1)
        return {**features, self.writes: unit}


class Truncate(torch.nn.Module):  # type: ignore[misc]
    """Keeps the first numbers of the sentence embedding, and does not rescale them.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Features) -> Features:
        """Gives ``sentence_embedding: float32[batch, size]``."""
        return {**features, "sentence_embedding": features["sentence_embedding"][:, : self.size]}
