"""What a pruning left of each layer: a map of heads, from the JSON of ``edge-tx prune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidConfig
from edge_tx.strict_json import Fail, Reader, Rule, loads
from edge_tx.views.cells import number
from edge_tx.views.elements import Element, tag

__all__ = ["PrunedLayer", "Pruning", "heat_map", "read"]


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """What a layer kept.

    Attributes:
        heads: Numbers of the heads that it kept.
        of_heads: How many it had.
        neurons: How many neurons of its feed-forward network it kept.
        of_neurons: How many it had.
    """

    heads: tuple[int, ...]
    of_heads: int
    neurons: int
    of_neurons: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a model kept.

    Attributes:
        layers: By the layer's number in the model as it was.
        removed_layers: Numbers of the layers that are gone.
    """

    layers: Mapping[str, PrunedLayer]
    removed_layers: tuple[int, ...]


def read(path: str) -> Pruning:
    """Reads what ``edge-tx prune --json`` wrote; the rest of it is not looked at.

    Raises:
        InvalidConfig: It cannot be read, or is something else.
    """
    try:
        value = loads(Path(path).read_bytes(), path, InvalidConfig)
    except OSError as exc:
        raise InvalidConfig(f"{path} cannot be read: {exc.strerror}") from exc
    known = value if isinstance(value, dict) else {}
    wanted = {name: known[name] for name in ("layers", "removed_layers") if name in known}
    if len(wanted) < 2:
        raise InvalidConfig(f"{path} is not what edge-tx prune --json writes")
    return Reader(path, InvalidConfig, _RULES).read(Pruning, wanted)


def _layer_rule(layer: PrunedLayer, fail: Fail) -> None:
    if not 0 < layer.of_heads <= 4096 or not all(0 <= h < layer.of_heads for h in layer.heads):
        fail("heads", f"expected numbers below of_heads, got {layer.of_heads}")
    if not 0 <= layer.neurons <= layer.of_neurons:
        fail("neurons", f"expected at most of_neurons, got {layer.neurons}")


def _rule(pruning: Pruning, fail: Fail) -> None:
    for name in pruning.layers:
        if not (name.isascii() and name.isdecimal() and len(name) < 6):
            fail("layers", f"expected numbers of layers, got {name[:40]!r}")


_RULES: Mapping[type, Rule] = {Pruning: _rule, PrunedLayer: _layer_rule}


def heat_map(prunings: Mapping[str, Pruning]) -> Element | None:
    """A table for each model: heads by layers, and the share of neurons; None if there is none."""
    if not prunings:
        return None
    return tag(
        "section",
        tag("h2", "What pruning left", id="pruning"),
        tag("p", "Heads that stayed are filled; the bar is the share of neurons.", class_="about"),
        *(_model(name, pruning) for name, pruning in prunings.items()),
        aria_labelledby="pruning",
    )


def _model(name: str, pruning: Pruning) -> Element:
    most = max((layer.of_heads for layer in pruning.layers.values()), default=0)
    heads = (tag("th", str(head), scope="col") for head in range(most))
    head = tag("tr", tag("th", "layer", scope="col"), *heads, tag("th", "neurons", scope="col"))
    numbers = sorted({*map(int, pruning.layers), *pruning.removed_layers}, reverse=True)
    rows = (_row(one, pruning.layers.get(str(one)), most) for one in numbers)
    table = tag(
        "table", tag("caption", name), tag("thead", head), tag("tbody", *rows), class_="heads"
    )
    scroll: dict[str, Any] = {"tabindex": "0", "role": "region", "aria_label": name}
    return tag("div", tag("h3", name), tag("div", table, class_="scroll", **scroll))


def _row(layer: int, kept: PrunedLayer | None, most: int) -> Element:
    if kept is None:
        gone = tag("td", "removed", colspan=str(most + 1), class_="gone")
        return tag("tr", tag("th", str(layer), scope="row"), gone)
    cells = (_head(head, kept) for head in range(most))
    share = kept.neurons / max(kept.of_neurons, 1)
    told = f"{number(kept.neurons)} of {number(kept.of_neurons)}"
    bar = tag("meter", told, value=f"{share:.4f}", min="0", max="1", title=told)
    neurons = tag("td", bar, f" {share:.0%}", class_="neurons")
    return tag("tr", tag("th", str(layer), scope="row"), *cells, neurons)


def _head(head: int, kept: PrunedLayer) -> Element:
    if head >= kept.of_heads:
        return tag("td")
    stays = head in kept.heads
    said = tag("span", "kept" if stays else "gone", class_="said")
    return tag("td", said, class_="kept" if stays else "gone")
