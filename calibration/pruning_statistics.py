"""One pass over the data: what flows through each sublayer, and how much it matters.

A sublayer is an attention or an FFN; its *features* are what its output layer multiplies: the
heads' contexts, the neurons' activations. For each, two matrices are kept: the features' second
moments, and those of the gradients at what the sublayer adds to the residual stream. Together
they are a Kronecker-factored Fisher information of the output layer's weights
(Martens and Grosse, https://arxiv.org/abs/1503.05671). All samples of a batch share one backward
pass.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from edge_tx.calibration.pruning_encoder import Encoder, Key
from edge_tx.calibration.pruning_targets import cotangents
from edge_tx.exporters.traced import Traced

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Batch", "Sensitivity", "Statistics", "extended", "measure", "with_bias"]

_SHARE = 1e-6


@dataclass
class Batch:
    """Rows of neighbouring lengths.

    Attributes:
        tensors: ``int64[batch, seq]`` by position; the mask is the second.
        calls: What each layer is called with beside the hidden states, once it is known.
        first: Hidden states that enter the first layer, once they are known.
        weights: By sublayer, ``float32[tokens]``: how much each real token matters.
    """

    tensors: tuple[torch.Tensor, ...]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    first: torch.Tensor | None = None
    weights: dict[Key, torch.Tensor] = field(default_factory=dict)

    @property
    def mask(self) -> torch.Tensor:
        """``bool[batch, seq]``, false for padding."""
        return self.tensors[1].bool()


@dataclass
class Sensitivity:
    """What is known of one sublayer.

    Attributes:
        moments: ``float32[K + 1, K + 1]`` of the features with a one after them, each token by
            its weight.
        gradients: ``float32[D, D]`` of the gradients at the sublayer's output.
        fisher: ``float64[units]``, the diagonal Fisher information of the masks of heads or
            neurons (Kwon et al., https://arxiv.org/abs/2204.09656).
    """

    moments: torch.Tensor
    gradients: torch.Tensor
    fisher: torch.Tensor


Statistics = dict[Key, Sensitivity]


def extended(features: torch.Tensor, layer: torch.nn.Linear) -> torch.Tensor:
    """Rows of features with what the bias multiplies after them: a one, or zero without bias."""
    last = features.new_full((len(features), 1), float(layer.bias is not None))
    return torch.cat([features, last], dim=1)


def with_bias(layer: torch.nn.Linear) -> torch.Tensor:
    """``[D, K + 1]``: weights with the bias after them, zeros if there is none."""
    bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    return torch.cat([layer.weight, bias[:, None]], dim=1)


def measure(
    traced: Traced,
    encoder: Encoder,
    batches: Sequence[Batch],
    seed: int,
) -> Statistics:
    """Runs every batch forwards and backwards once; fills in the batches' own fields.

    Args:
        traced: The model as it is.
        encoder: Its layers.
        batches: Of real rows.
        seed: Of the random signs.
    """
    found = {key: _empty(encoder, key) for key in encoder.sublayers()}
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        with torch.enable_grad(), _Tap(encoder, batch) as tap:
            outputs = traced.module(*batch.tensors)
            seeds = cotangents(outputs, batch.mask, traced.task, traced.settings, generator)
            watched = [*tap.outputs.values(), *tap.features.values()]
            gradients = torch.autograd.grad(outputs, watched, seeds)
        half = len(found)
        for key, out, feature in zip(found, gradients[:half], gradients[half:], strict=True):
            _add(found[key], encoder, key, batch, tap.features[key].detach(), out, feature)
    return found


def _empty(encoder: Encoder, key: Key) -> Sensitivity:
    layer = encoder.output(key)
    inner = layer.in_features + 1
    return Sensitivity(
        torch.zeros(inner, inner),
        torch.zeros(layer.out_features, layer.out_features),
        torch.zeros(encoder.units(key), dtype=torch.float64),
    )


def _add(
    into: Sensitivity,
    encoder: Encoder,
    key: Key,
    batch: Batch,
    features: torch.Tensor,
    gradient: torch.Tensor,
    feature_gradient: torch.Tensor,
) -> None:
    mask = batch.mask
    real = gradient[mask]
    into.gradients += real.T @ real
    batch.weights[key] = _token_weights(gradient.square().sum(dim=-1), mask)
    rows = extended(features[mask], encoder.output(key))
    into.moments += (rows * batch.weights[key][:, None]).T @ rows
    masks = (features * feature_gradient).sum(dim=1)
    by_unit = masks.view(len(masks), encoder.units(key), -1).sum(dim=-1)
    into.fisher += by_unit.double().square().sum(dim=0)


def _token_weights(energy: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Each token's share of its text's gradient, 1 on average.

    By text, as the texts that a model is sure of would have no say otherwise.
    """
    energy = energy * mask
    mean = energy.sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
    flat = torch.where(mean > 0, energy / mean.clamp(min=torch.finfo(energy.dtype).tiny), 1.0)
    return flat.clamp(min=_SHARE)[mask]


class _Tap:
    """Keeps what a forward pass has at each sublayer, with its gradient graph."""

    def __init__(self, encoder: Encoder, batch: Batch) -> None:
        self.features: dict[Key, torch.Tensor] = {}
        self.outputs: dict[Key, torch.Tensor] = {}
        self._encoder = encoder
        self._batch = batch
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        self._batch.calls.clear()
        for layer in self._encoder.layers:
            hook = layer.register_forward_pre_hook(self._enter_layer, with_kwargs=True)
            self._handles.append(hook)
        for key in self._encoder.sublayers():
            hook = self._encoder.output(key).register_forward_hook(self._at(key))
            self._handles.append(hook)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter_layer(self, _layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden, *rest = args
        if not self._batch.calls:
            hidden = hidden.detach().requires_grad_(True)
            self._batch.first = hidden.detach()
        self._batch.calls.append((tuple(rest), kwargs))
        return (hidden, *rest), kwargs

    def _at(self, key: Key) -> Callable[..., None]:
        def keep(_module: Any, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            self.features[key], self.outputs[key] = args[0], out

        return keep
