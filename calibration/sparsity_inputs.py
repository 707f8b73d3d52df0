"""What flows into the linear layers of a model, kept as the little that pruning asks of it.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

__all__ = ["Group", "gram_matrices", "linear_groups"]

_NUMBERED = re.compile(r"^(.*?\.\d+)\.")


@dataclass(frozen=True)
class Group:
    """The linear layers of one encoder layer.

    Attributes:
        block: The encoder layer.
        linears: By name, in order.
    """

    block: torch.nn.Module
    linears: Mapping[str, torch.nn.Linear]


def linear_groups(network: torch.nn.Module) -> list[Group]:
    """The linear layers inside the encoder's layers, in order.

    What lies outside (a head, a pooler) is small, and is left out.
    """
    found: dict[str, dict[str, torch.nn.Linear]] = {}
    for name, module in network.named_modules():
        numbered = _NUMBERED.match(name)
        if isinstance(module, torch.nn.Linear) and numbered is not None:
            found.setdefault(numbered[1], {})[name] = module
    return [Group(network.get_submodule(name), linears) for name, linears in found.items()]


def gram_matrices(
    module: torch.nn.Module,
    group: Group,
    batches: Iterable[Sequence[torch.Tensor]],
    until: torch.nn.Module | None = None,
) -> dict[str, torch.Tensor]:
    """Sums ``x xᵀ`` over all inputs ``x`` of linear layers; nothing else is kept.

    Args:
        module: Is called with each batch's tensors, ``input_ids`` and ``attention_mask`` first.
        group: Of layers inside it.
        batches: ``int64[batch, seq]`` tensors by position. Padding does not count.
        until: A batch is over when this part of the module is reached.

    Returns:
        ``float64[in, in]`` by layer.
    """
    sums = {
        name: torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        for name, layer in group.linears.items()
    }
    tally = _Tally(sums)
    with torch.inference_mode(), contextlib.ExitStack() as hooks:
        for name, layer in group.linears.items():
            hooks.callback(layer.register_forward_pre_hook(tally.adder(name)).remove)
        if until is not None:
            hooks.callback(until.register_forward_pre_hook(_stop).remove)
        for tensors in batches:
            tally.real = tensors[1].bool()
            with contextlib.suppress(_SeenEnoughError):
                module(*tensors)
    return sums


class _SeenEnoughError(Exception):
    """Ends a forward pass whose rest is not needed."""


def _stop(*_: object) -> None:
    raise _SeenEnoughError


class _Tally:
    """Adds up what flows into layers."""

    def __init__(self, sums: dict[str, torch.Tensor]) -> None:
        self.real = torch.empty(0)
        self._sums = sums
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def adder(self, name: str) -> Callable[..., None]:
        """A hook that runs before a layer."""

        def add(_layer: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            self._sums[name] += self._gram(args[0])

        return add

    def _gram(self, value: torch.Tensor) -> torch.Tensor:
        """Query, key and value of a layer share their input, and so its Gram matrix."""
        if self._last is None or self._last[0] is not value:
            inner = value[self.real] if value.shape[:2] == self.real.shape else value
            rows = inner.reshape(-1, value.shape[-1])
            self._last = value, (rows.T @ rows).double()
        return self._last[1]
