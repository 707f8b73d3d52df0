"""Where the families of encoders keep their heads and neurons.

Imports torch for types only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_tx.errors import UnsupportedModel

if TYPE_CHECKING:
    import torch

__all__ = [
    "LAYOUTS",
    "Layout",
    "encoder_layers",
    "layout_of",
    "present",
]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a family keeps its heads and neurons; paths are relative to a layer.

    Attributes:
        model_type: The family.
        layers: The layers, relative to the model without its head.
        projections: Linear layers whose rows are laid out by head; not all variants have all.
        projection_parts: How many blocks of all heads a projection stacks (3: q, k and v).
        attention: The module that knows how many heads there are.
        output: Linear layer whose columns are laid out by head.
        up: Linear layer whose rows are neurons.
        up_parts: How many blocks of all neurons it stacks (2: value and gate).
        down: Linear layer whose columns are neurons.
        head_size: Attribute of ``attention``: width of a head.
        heads: Attributes of ``attention`` that hold the number of heads.
        width: Attribute of ``attention`` that holds heads times width, if it has one.
        bias: Keyword of ``attention``'s call that holds a value for each of the model's heads.
        config: Names in the config of the number of layers, the number of heads, the FFN width.
        per_layer: Lists in the config with an entry for each layer.
        norm_first: Whether a sublayer's input, not its sum, is normalised.
        first_differs: Whether the first layer is built otherwise, and must stay.
        between: A module that stands between layers, if a variant has it.
    """

    model_type: str
    layers: str = "encoder.layer"
    projections: tuple[str, ...] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    )
    projection_parts: int = 1
    attention: str = "attention.self"
    output: str = "attention.output.dense"
    up: str = "intermediate.dense"
    up_parts: int = 1
    down: str = "output.dense"
    head_size: str = "attention_head_size"
    heads: tuple[str, ...] = ("num_attention_heads",)
    width: str = "all_head_size"
    bias: str = ""
    config: tuple[str, str, str] = ("num_hidden_layers", "num_attention_heads", "intermediate_size")
    per_layer: tuple[str, ...] = ()
    norm_first: bool = False
    first_differs: bool = False
    between: str = ""


LAYOUTS: Mapping[str, Layout] = {
    row.model_type: row
    for row in (
        Layout("bert"),
        Layout("roberta"),
        Layout("xlm-roberta"),
        Layout("camembert"),
        Layout("electra"),
        Layout(
            "distilbert",
            layers="transformer.layer",
            projections=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
            attention="attention",
            output="attention.out_lin",
            up="ffn.lin1",
            down="ffn.lin2",
            heads=("n_heads",),
            width="",
            config=("n_layers", "n_heads", "hidden_dim"),
        ),
        Layout(
            "mpnet",
            projections=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
            attention="attention.attn",
            output="attention.attn.o",
            bias="position_bias",
        ),
        Layout(
            "deberta-v2",
            projections=(
                "attention.self.query_proj",
                "attention.self.key_proj",
                "attention.self.value_proj",
                "attention.self.pos_key_proj",
                "attention.self.pos_query_proj",
            ),
            between="encoder.conv",
        ),
        Layout(
            "modernbert",
            layers="layers",
            projections=("attn.Wqkv",),
            projection_parts=3,
            attention="attn",
            output="attn.Wo",
            up="mlp.Wi",
            up_parts=2,
            down="mlp.Wo",
            head_size="head_dim",
            heads=(),
            width="",
            per_layer=("layer_types",),
            norm_first=True,
            first_differs=True,
        ),
    )
}

_REFUSED: Mapping[str, str] = {
    "albert": "all its layers are one and the same, so a head taken from one is gone from all; "
    "distil it into a model with fewer layers instead",
    "mobilebert": "its layers are bottlenecks of stacked FFNs, narrow already",
}


def layout_of(model_type: str) -> Layout:
    """Looks a family up.

    Raises:
        UnsupportedModel: Its heads and neurons cannot be removed, and why.
    """
    if model_type in LAYOUTS:
        return LAYOUTS[model_type]
    why = _REFUSED.get(model_type, f"families that can be pruned are {', '.join(LAYOUTS)}")
    raise UnsupportedModel(f"heads and neurons of a {model_type} cannot be removed: {why}")


def encoder_layers(model: torch.nn.Module, layout: Layout) -> torch.nn.ModuleList:
    """The layers of a model of transformers, with or without a head."""
    return model.base_model.get_submodule(layout.layers)


def present(layer: torch.nn.Module, names: Sequence[str]) -> Iterator[str]:
    """Those submodules that this variant of a family has."""
    for name in names:
        parent, _, last = name.rpartition(".")
        if hasattr(layer.get_submodule(parent), last):
            yield name
