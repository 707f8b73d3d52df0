"""The layers of an encoder: found, dropped by number, or the ones to drop searched for.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from edge_tx.errors import InvalidConfig, UnsupportedModel
from edge_tx.exporters.pruned import read_shapes, write_shapes

__all__ = ["drop_layers", "layers_of", "search_layers"]


def layers_of(network: Any) -> torch.nn.ModuleList:
    """The encoder's layers, in order.

    Args:
        network: A model of transformers.

    Raises:
        UnsupportedModel: It has no list with one module for each of its layers: ALBERT runs
            the same one again and again.
    """
    count = network.config.num_hidden_layers
    for module in network.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            kinds = {type(layer) for layer in module}
            if len(kinds) == 1 and not isinstance(module[0], torch.nn.Linear):
                return module
    raise UnsupportedModel(
        f"{type(network).__name__} has no list of {count} layers of its own: none of them can be "
        "dropped or compared"
    )


def drop_layers(network: Any, keep: Sequence[int]) -> Any:
    """Takes layers out of a model, in place.

    Args:
        network: A model of transformers.
        keep: Numbers of the layers that stay, from 0; in any order.

    Returns:
        The model; its config has the new number of layers.

    Raises:
        InvalidConfig: There is no such layer, one is named twice, or none is.
        UnsupportedModel: The model's layers are not modules of their own.
    """
    layers = layers_of(network)
    chosen = sorted(keep)
    wrong = [number for number in chosen if not 0 <= number < len(layers)]
    if wrong or not chosen or len(set(chosen)) < len(chosen):
        raise InvalidConfig(
            f"layers to keep are different numbers from 0 to {len(layers) - 1}, not "
            f"{', '.join(map(str, keep)) or 'none'}"
        )
    if chosen[0] not in _firsts(layers):
        raise InvalidConfig(
            f"layer 0 of {type(network).__name__} is built unlike the others: it must stay"
        )
    config = network.config
    types = getattr(config, "layer_types", None)
    kept = [layers[number] for number in chosen]
    del layers[len(kept) :]
    for place, layer in enumerate(kept):
        layers[place] = layer
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = place
    shapes = read_shapes(config)
    config.num_hidden_layers = len(kept)
    if shapes is not None:
        write_shapes(config, [shapes[number] for number in chosen])
    if types is not None:  # which of ModernBERT's layers see all of the text
        config.layer_types = [types[number] for number in chosen]
    return network


def search_layers(
    network: Any, count: int, harm: Callable[[], float], progress: Callable[[int, int], None]
) -> tuple[int, ...]:
    """Finds layers whose loss is least felt: the least harmful one goes, again and again.

    Args:
        network: A model of transformers; as before at the end.
        count: How many stay.
        harm: Measures the network as it stands; the smaller the better.
        progress: Told how many measurements are done and of how many.

    Returns:
        Numbers of the layers that stay.

    Raises:
        InvalidConfig: There are not more than so many layers.
        UnsupportedModel: The model's layers are not modules of their own.
    """
    layers = layers_of(network)
    if not 0 < count < len(layers):
        raise InvalidConfig(f"from 1 to {len(layers) - 1} layers can stay, not {count}")
    kept = list(range(len(layers)))
    bound = int(_firsts(layers) == {0})  # ModernBERT's first layer is not to be had elsewhere
    total, done = sum(range(count + 1, len(layers) + 1)) - bound * (len(layers) - count), 0
    while len(kept) > count:
        harms = {}
        for number in kept[bound:]:
            progress(done, total)
            with _skipped(layer for n, layer in enumerate(layers) if n not in kept or n == number):
                harms[number] = harm()
            done += 1
        kept.remove(min(harms, key=lambda number: (harms[number], number)))
    return tuple(kept)


def _firsts(layers: torch.nn.ModuleList) -> set[int]:
    """Layers that are built like the first: in ModernBERT it has one normalisation less."""
    forms = [[(n, type(m)) for n, m in layer.named_modules()] for layer in layers]
    return {number for number, form in enumerate(forms) if form == forms[0]}


@contextlib.contextmanager
def _skipped(layers: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Layers give what they got, for as long as the context lasts."""
    with contextlib.ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_hook(_pass_on).remove)
        yield


def _pass_on(_layer: Any, args: tuple[Any, ...], output: Any) -> Any:
    return (args[0], *output[1:]) if isinstance(output, tuple) else args[0]
