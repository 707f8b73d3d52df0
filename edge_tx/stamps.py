"""Which vectors may be compared: the stamp of the graph that made them.

The vectors of an fp32 graph and of a quantised one are close, but not the same: an index built
with one and asked with the other gives slightly other neighbours, and nobody notices. So every
graph has a stamp, which its results carry:

- graphs in fp32 have the bundle's stamp, a hash over weights, pooling and tokenizer: parity holds
  them to the same numbers, whatever the backend;
- any other graph's stamp is the bundle's, its recipe, and a hash of its files, as no two
  quantised graphs are alike: ``"3f2a...:dynamic_w8:91c0..."``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from edge_tx.digest import sha256_hex
from edge_tx.errors import InvalidConfig
from edge_tx.manifest import Graph, Manifest

__all__ = ["Stamped", "check_space", "graph_stamp", "same_space"]

_DIGITS = 16


@runtime_checkable
class Stamped(Protocol):
    """What carries a stamp: an embedding, a model's description."""

    @property
    def stamp(self) -> str:
        """See :mod:`edge_tx.stamps`."""


def graph_stamp(manifest: Manifest, graph: Graph) -> str:
    """The stamp of one of a bundle's graphs."""
    if not graph.recipe and graph.precision == "fp32":
        return manifest.stamp
    records = sorted(graph.files, key=lambda record: record.path)
    digest = sha256_hex("".join(record.sha256 for record in records).encode())
    name = graph.recipe.partition(":")[0] or graph.precision
    return f"{manifest.stamp}:{name}:{digest[:_DIGITS]}"


def same_space(one: Stamped | str, other: Stamped | str) -> bool:
    """Whether vectors of two stamps may be compared, or stored in one index.

    Args:
        one: An embedding, a model or a stamp.
        other: As above.

    Raises:
        InvalidConfig: One of them carries no stamp.
    """
    return _stamp(one) == _stamp(other)


def check_space(items: Iterable[Stamped | str]) -> None:
    """Checks that all vectors may be compared.

    Args:
        items: Embeddings, models or stamps.

    Raises:
        InvalidConfig: Two of them may not, or one carries no stamp; says why.
    """
    stamps = {_stamp(item): None for item in items}
    if len(stamps) > 1:
        first, second = list(stamps)[:2]
        raise InvalidConfig(
            f"these vectors must not be compared: {_difference(first, second)}; embed all of them "
            "with one graph"
        )


def _difference(first: str, second: str) -> str:
    one, other = (stamp.split(":") for stamp in (first, second))
    if one[0] != other[0]:
        return f"they are of different models ({one[0][:12]}... and {other[0][:12]}...)"
    names = [parts[1] if len(parts) > 1 else "fp32" for parts in (one, other)]
    return f"they are of one model's {names[0]} and {names[1]} graphs"


def _stamp(item: Stamped | str) -> str:
    stamp = item if isinstance(item, str) else getattr(item, "stamp", None)
    if not isinstance(stamp, str) or not stamp:
        raise InvalidConfig(
            f"{type(item).__name__} carries no stamp: it cannot be told what made it"
        )
    return stamp
