"""Encoders whose layers differ in heads and neurons: how they are recorded and loaded.

transformers' configs know one number of heads and one FFN width for all layers. What is smaller
than that is recorded under :data:`KEY` in config.json, and :func:`fitted` gives a class of
transformers whose layers have those shapes before the weights are read into them.

Imports torch inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.pruned_layouts import Layout, encoder_layers, layout_of, present

if TYPE_CHECKING:
    import torch

__all__ = [
    "KEY",
    "LayerShape",
    "fitted",
    "load_model",
    "read_shapes",
    "set_heads",
    "write_shapes",
]

KEY = "edge_tx_pruning"
VERSION = 1
_HOOK = "_edge_tx_chosen_heads"


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What a layer has left.

    Attributes:
        heads: Which of the model's heads, by their number; one at least.
        neurons: How many neurons of the FFN; one at least.
    """

    heads: tuple[int, ...]
    neurons: int


def write_shapes(config: Any, shapes: Sequence[LayerShape]) -> None:
    """Puts the layers' shapes into a config of transformers, as plainly as they allow.

    Where all layers have all heads and one FFN width, transformers' own field says it, and the
    model loads without this package.
    """
    layout = layout_of(config.model_type)
    layers, heads, width = layout.config
    everything = tuple(range(getattr(config, heads)))
    widths = {shape.neurons for shape in shapes}
    setattr(config, layers, len(shapes))
    if len(widths) == 1 and all(shape.heads == everything for shape in shapes):
        setattr(config, width, widths.pop())
        if hasattr(config, KEY):
            delattr(config, KEY)
        return
    rows = [{"heads": list(shape.heads), "ffn": shape.neurons} for shape in shapes]
    setattr(config, KEY, {"version": VERSION, "layers": rows})


def read_shapes(config: Any) -> tuple[LayerShape, ...] | None:
    """The layers' shapes in a config of transformers; None if they are the config's own.

    Raises:
        UnsupportedModel: The record is damaged, or does not fit the config.
    """
    record = getattr(config, KEY, None)
    if record is None:
        return None
    layout = layout_of(config.model_type)
    layers, heads, width = (getattr(config, name) for name in layout.config)
    version = record.get("version") if isinstance(record, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise UnsupportedModel(f"{KEY} in config.json is version {version}: update edge_tx")
    rows = record.get("layers") if isinstance(record, Mapping) else None
    if version != VERSION or not isinstance(rows, list) or len(rows) != layers:
        raise UnsupportedModel(f"{KEY} in config.json must describe the {layers} layers")
    return tuple(_shape(row, number, heads, width) for number, row in enumerate(rows))


def _shape(row: Any, number: int, heads: int, width: int) -> LayerShape:
    kept = row.get("heads") if isinstance(row, Mapping) else None
    neurons = row.get("ffn") if isinstance(row, Mapping) else None
    sound = (
        isinstance(kept, list)
        and all(type(head) is int and 0 <= head < heads for head in kept)
        and kept == sorted(set(kept))
        and kept
        and type(neurons) is int
        and 0 < neurons <= width
    )
    if not sound:
        raise UnsupportedModel(
            f"{KEY} in config.json: layer {number} needs some of the heads 0 to {heads - 1} in "
            f"order, and 1 to {width} neurons, not {row!r}"
        )
    return LayerShape(tuple(kept or ()), neurons or 0)


def fitted(kind: Any, config: Any) -> Any:
    """A class of transformers whose layers are built in the shapes that the config records.

    Args:
        kind: A class of transformers.
        config: Its config.

    Returns:
        ``kind`` itself, if the config records nothing.

    Raises:
        UnsupportedModel: The record is damaged, or does not fit the config.
    """
    shapes = read_shapes(config)
    if shapes is None:
        return kind
    layout = layout_of(config.model_type)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        kind.__init__(self, *args, **kwargs)
        for layer, shape in zip(encoder_layers(self, layout), shapes, strict=True):
            _shrink(layer, layout, shape)

    # Its name and module go into architectures, and transformers looks up files by them.
    body = {"__init__": __init__, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), body)


def _shrink(layer: torch.nn.Module, layout: Layout, shape: LayerShape) -> None:
    """Gives a layer weights of the right size, whatever is in them."""
    attention = layer.get_submodule(layout.attention)
    width = len(shape.heads) * getattr(attention, layout.head_size)
    for name in present(layer, layout.projections):
        _replace(layer, name, rows=width * layout.projection_parts)
    _replace(layer, layout.output, columns=width)
    _replace(layer, layout.up, rows=shape.neurons * layout.up_parts)
    _replace(layer, layout.down, columns=shape.neurons)
    set_heads(layer, layout, shape.heads)


def _replace(
    layer: torch.nn.Module, name: str, rows: int | None = None, columns: int | None = None
) -> None:
    import torch

    old = layer.get_submodule(name)
    size = (columns or old.in_features, rows or old.out_features)
    if size != (old.in_features, old.out_features):
        new = torch.nn.Linear(
            *size, bias=old.bias is not None, device=old.weight.device, dtype=old.weight.dtype
        )
        layer.set_submodule(name, new)


def set_heads(layer: torch.nn.Module, layout: Layout, heads: Sequence[int]) -> None:
    """Tells a layer's attention which of the model's heads it has left."""
    attention = layer.get_submodule(layout.attention)
    for name in layout.heads:
        setattr(attention, name, len(heads))
    if layout.width:
        setattr(attention, layout.width, len(heads) * getattr(attention, layout.head_size))
    if layout.bias:
        before = getattr(attention, _HOOK, None)
        if before is not None:
            before.remove()
        chosen = _Chosen(layout.bias, tuple(heads))
        handle = attention.register_forward_pre_hook(chosen, with_kwargs=True)
        setattr(attention, _HOOK, handle)


class _Chosen:
    """Passes on the values of some heads of what all layers share.

    Args:
        name: Keyword, or the third argument (after hidden states and mask).
        heads: Their numbers.
    """

    def __init__(self, name: str, heads: tuple[int, ...]) -> None:
        self._name = name
        self._heads = list(heads)

    def __call__(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._name in kwargs:
            kwargs = {**kwargs, self._name: self._of(kwargs[self._name])}
        elif len(args) > 2:
            args = (*args[:2], self._of(args[2]), *args[3:])
        return args, kwargs

    def _of(self, value: Any) -> Any:
        if value is None or value.shape[1] == len(self._heads):
            return value
        return value[:, self._heads]


def load_model(folder: Path, **options: Any) -> Any:
    """Loads a folder of transformers by the class its config names, in the recorded shapes.

    Args:
        folder: With config.json and safetensors weights.
        options: Of transformers' ``from_pretrained``.

    Raises:
        InvalidConfig: There is no such folder.
        UnsupportedModel: It is damaged, or names no class of transformers.
    """
    import transformers

    from edge_tx.exporters.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(folder)
    kind = getattr(transformers, next(iter(checkpoint.architectures), ""), None)
    if kind is None:
        raise UnsupportedModel(f"{folder / 'config.json'} names no class of transformers")
    config = transformers.AutoConfig.from_pretrained(checkpoint.transformer)
    return fitted(kind, config).from_pretrained(
        checkpoint.transformer, config=config, use_safetensors=True, **options
    )
