"""What happens inside a model while it runs: its layers' outputs, its queries, keys and values.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from edge_tx.calibration.sparsity_layers import layers_of
from edge_tx.errors import InvalidConfig
from edge_tx.exporters.pruned_layouts import LAYOUTS, present

__all__ = ["Taps"]

_PARTS = 3  # queries, keys and values


class Taps:
    """Listens to a model's layers from now on.

    Args:
        network: A model of transformers.
        hidden: Whether to keep what each layer gives.
        relations: Whether to keep queries, keys and values of the last layer.

    Attributes:
        hidden: ``[batch, seq, D]`` of each layer, of the latest run.
        relations: Queries, keys and values, ``[batch, seq, E]`` each, of the latest run.

    Raises:
        UnsupportedModel: The model's layers are not modules of their own.
        InvalidConfig: Its queries, keys and values are not known by name.
    """

    def __init__(self, network: Any, *, hidden: bool, relations: bool) -> None:
        self.hidden: dict[int, torch.Tensor] = {}
        self.relations: dict[int, torch.Tensor] = {}
        layers = layers_of(network)
        self._handles = []
        if hidden:
            for number, layer in enumerate(layers):
                self._handles.append(layer.register_forward_hook(_keep(self.hidden, number)))
        if relations:
            for number, part in enumerate(_projections(network, layers[-1])):
                self._handles.append(part.register_forward_hook(_keep(self.relations, number)))

    def parts(self) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values."""
        kept = tuple(self.relations[number] for number in sorted(self.relations))
        return kept if len(kept) == _PARTS else kept[0].chunk(_PARTS, dim=-1)

    def close(self) -> None:
        """Stops listening."""
        for handle in self._handles:
            handle.remove()


def _projections(network: Any, layer: torch.nn.Module) -> list[torch.nn.Module]:
    """Three linear layers, or the one that stacks all three."""
    layout = LAYOUTS.get(network.config.model_type)
    if layout is None:
        raise InvalidConfig(
            f"attention relations of a {network.config.model_type} are not known; they are of "
            f"{', '.join(LAYOUTS)}: use the losses output and hidden"
        )
    names = list(present(layer, layout.projections))[:_PARTS]
    return [layer.get_submodule(name) for name in names]


def _keep(kept: dict[int, torch.Tensor], number: int) -> Callable[..., None]:
    def hook(_module: Any, _args: Any, output: Any) -> None:
        kept[number] = output[0] if isinstance(output, tuple) else output

    return hook
