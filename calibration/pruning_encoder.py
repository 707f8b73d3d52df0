"""The layers of an encoder by their heads and neurons, and how some of them are taken out.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters import pruned, pruned_layouts
from edge_tx.exporters.pruned import LayerShape

__all__ = ["ATTENTION", "FFN", "Encoder", "Key"]

ATTENTION, FFN = "attention", "ffn"


class Key(NamedTuple):
    """A sublayer.

    Attributes:
        layer: Its layer, from 0.
        kind: :data:`ATTENTION` or :data:`FFN`.
    """

    layer: int
    kind: str


class Encoder:
    """What can be removed of a model of transformers.

    Args:
        network: The model; changed in place by what removes something.

    Raises:
        UnsupportedModel: Nothing of it can be removed, and why.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        config: Any = network.config
        self.layout = pruned_layouts.layout_of(config.model_type)
        self.network = network
        self.layers = pruned_layouts.encoder_layers(network, self.layout)
        if self.layout.between and hasattr(network.base_model, self.layout.between.split(".")[0]):
            parent, _, last = self.layout.between.rpartition(".")
            if getattr(network.base_model.get_submodule(parent), last, None) is not None:
                raise UnsupportedModel(
                    f"this {config.model_type} has a convolution between its layers "
                    f"({self.layout.between}), which pruning cannot see past"
                )
        heads = getattr(config, self.layout.config[1])
        shapes = pruned.read_shapes(config)
        full = tuple(range(heads))
        self._heads = [s.heads for s in shapes] if shapes else [full] * len(self.layers)

    def sublayers(self) -> list[Key]:
        """All sublayers, from the first to the last."""
        return [Key(i, kind) for i in range(len(self.layers)) for kind in (ATTENTION, FFN)]

    def output(self, key: Key) -> torch.nn.Linear:
        """The linear layer after a sublayer's heads or neurons."""
        name = {ATTENTION: self.layout.output, FFN: self.layout.down}[key.kind]
        return self.layers[key.layer].get_submodule(name)

    def units(self, key: Key) -> int:
        """How many heads or neurons a sublayer has."""
        if key.kind == FFN:
            return int(self.output(key).in_features)
        return len(self._heads[key.layer])

    def head_size(self, key: Key) -> int:
        """Columns of the output layer that belong to one unit."""
        return int(self.output(key).in_features) // self.units(key)

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return int(self.output(Key(0, FFN)).out_features)

    def columns(self, key: Key, units: Sequence[int]) -> torch.Tensor:
        """Columns of the output layer that belong to units."""
        return _spread(torch.tensor(units, dtype=torch.long), self.head_size(key))

    def keep(self, key: Key, units: Sequence[int]) -> None:
        """Removes all other heads or neurons of a sublayer.

        Args:
            key: The sublayer.
            units: Numbers, ascending, of those it has now.
        """
        layer, layout = self.layers[key.layer], self.layout
        count, size = self.units(key), self.head_size(key)
        columns = self.columns(key, units)
        if key.kind == ATTENTION:
            names, parts = layout.projections, layout.projection_parts
        else:
            names, parts = (layout.up,), layout.up_parts
        rows = torch.cat([part * count * size + columns for part in range(parts)])
        for name in pruned_layouts.present(layer, names):
            _set(layer, name, lambda old: _linear(old.weight[rows], _rows(old.bias, rows)))
        name = layout.output if key.kind == ATTENTION else layout.down
        _set(layer, name, lambda old: _linear(old.weight[:, columns], old.bias))
        if key.kind == ATTENTION:
            self._heads[key.layer] = tuple(self._heads[key.layer][unit] for unit in units)
            pruned.set_heads(layer, layout, self._heads[key.layer])

    def keep_layers(self, numbers: Sequence[int]) -> None:
        """Removes all other layers.

        Raises:
            UnsupportedModel: The first one must stay in this family.
        """
        config: Any = self.network.config
        if self.layout.first_differs and 0 not in numbers:
            raise UnsupportedModel(
                f"the first layer of a {config.model_type} is built otherwise and must stay"
            )
        chosen = torch.nn.ModuleList(self.layers[number] for number in numbers)
        for name in self.layout.per_layer:
            setattr(config, name, [getattr(config, name)[number] for number in numbers])
        self._heads = [self._heads[number] for number in numbers]
        self.network.base_model.set_submodule(self.layout.layers, chosen)
        self.layers = chosen
        self.record()

    def shapes(self) -> tuple[LayerShape, ...]:
        """What each layer has."""
        return tuple(
            LayerShape(heads, self.units(Key(number, FFN)))
            for number, heads in enumerate(self._heads)
        )

    def record(self) -> None:
        """Writes the shapes into the model's config."""
        pruned.write_shapes(self.network.config, self.shapes())

    def parameters(self) -> int:
        """How many weights the whole model has."""
        return sum(weight.numel() for weight in self.network.parameters())


def _spread(units: torch.Tensor, size: int) -> torch.Tensor:
    return (units[:, None] * size + torch.arange(size)).flatten()


def _set(layer: torch.nn.Module, name: str, make: Any) -> None:
    layer.set_submodule(name, make(layer.get_submodule(name)))


def _rows(bias: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor | None:
    return None if bias is None else bias[rows]


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Linear:
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        made.bias = torch.nn.Parameter(bias.detach().clone(), requires_grad=False)
    return made.eval()
