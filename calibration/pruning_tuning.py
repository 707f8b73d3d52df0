"""The cut itself: layer by layer, what is left learns to give what the whole gave.

From the first sublayer to the last, both the model as it was and the pruned one are run on the
same rows. The features that are left, as they are in the pruned model, are fitted by weighted
least squares to the residual stream of the model as it was, so that a sublayer also makes up for
what the ones before it have lost (the knowledge-preserving order of Park et al.,
https://arxiv.org/abs/2308.03449, and the layer-wise least squares of Kwon et al.,
https://arxiv.org/abs/2204.09656, here for all weights of the output layer and its bias).

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edge_tx.calibration.pruning_encoder import ATTENTION, FFN, Encoder, Key
from edge_tx.calibration.pruning_statistics import Batch, extended, with_bias

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Choose", "rebuild"]

Choose = Callable[[Key, torch.Tensor, torch.Tensor], Sequence[int]]
"""``(sublayer, moments, weights) -> units that stay``, ascending."""

_RIDGE = 1e-3


def rebuild(
    teacher: Encoder,
    student: Encoder,
    batches: Sequence[Batch],
    choose: Choose,
    gone: Collection[int] = (),
) -> None:
    """Cuts the student sublayer by sublayer and fits what is left.

    A sublayer that keeps everything, before which nothing was lost, stays as it is to the bit.

    Args:
        teacher: The layers as they were.
        student: Equal layers, cut in place.
        batches: As :func:`~edge_tx.calibration.pruning_statistics.measure` left them.
        choose: Says what stays.
        gone: Numbers of layers that the student will not have; the next one makes up for them.
    """
    streams = [_Stream(batch) for batch in batches]
    exact = True
    with torch.no_grad():
        for number in range(len(student.layers)):
            wanted = [stream.wanted(teacher, number) for stream in streams]
            if number not in gone:
                for key in (Key(number, ATTENTION), Key(number, FFN)):
                    exact = _fit(student, key, streams, wanted, choose, exact)
            for stream, want in zip(streams, wanted, strict=True):
                stream.step(None if number in gone else student, number, want)
            exact = exact and number not in gone


@dataclass
class _Wanted:
    """What a layer of the model as it was gives for a batch.

    Attributes:
        sums: By kind of sublayer, ``[tokens, D]``: the residual stream after it.
        hidden: What leaves the layer.
    """

    sums: dict[str, torch.Tensor]
    hidden: torch.Tensor


class _Stream:
    """A batch on its way through both models.

    Args:
        batch: Measured.
    """

    def __init__(self, batch: Batch) -> None:
        assert batch.first is not None  # noqa: S101 - measure has filled it in
        self.batch = batch
        self.mask = batch.mask
        self._before = batch.first
        self._after = batch.first

    def wanted(self, teacher: Encoder, number: int) -> _Wanted:
        """Runs a layer of the model as it was."""
        with _Probe(teacher, number) as probe:
            hidden = _run(teacher, number, self._before, self.batch)
        sums = {}
        for kind in (ATTENTION, FFN):
            residual = probe.residual(kind, self._before)
            sums[kind] = (probe.outputs[kind] + residual)[self.mask]
        return _Wanted(sums, hidden)

    def seen(self, student: Encoder, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        """A sublayer's features in the pruned model, and the residual stream before it."""
        probe = _Probe(student, key.layer, until=key.kind)
        with probe, contextlib.suppress(_SeenEnoughError):
            _run(student, key.layer, self._after, self.batch)
        residual = probe.residual(key.kind, self._after)
        return probe.features[key.kind][self.mask], residual[self.mask]

    def step(self, student: Encoder | None, number: int, wanted: _Wanted) -> None:
        """Goes through a layer that is done, or past it if the student has none."""
        self._before = wanted.hidden
        if student is not None:
            self._after = _run(student, number, self._after, self.batch)


def _run(encoder: Encoder, number: int, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    args, kwargs = batch.calls[number]
    out = encoder.layers[number](hidden, *args, **kwargs)
    return out[0] if isinstance(out, tuple) else out


def _fit(
    student: Encoder,
    key: Key,
    streams: Sequence[_Stream],
    wanted: Sequence[_Wanted],
    choose: Choose,
    exact: bool,
) -> bool:
    """Fits one sublayer; gives whether the model is still exactly as it was."""
    layer = student.output(key)
    own = with_bias(layer)
    moments = torch.zeros(own.shape[1], own.shape[1])
    products = torch.zeros(own.shape[1], len(own))
    for stream, want in zip(streams, wanted, strict=True):
        features, residual = stream.seen(student, key)
        rows = extended(features, layer)
        weighted = rows * stream.batch.weights[key][:, None]
        moments += weighted.T @ rows
        products += weighted.T @ (want.sums[key.kind] - residual)
    everything = torch.arange(len(moments))
    fitted = _solve(moments, products, own, everything)
    kept = choose(key, moments, fitted)
    if exact and len(kept) == student.units(key):
        return True
    columns = torch.cat([student.columns(key, kept), everything[-1:]])
    fitted = _solve(moments, products, own, columns)
    student.keep(key, kept)
    layer = student.output(key)
    layer.weight.copy_(fitted[:, :-1])
    if layer.bias is not None:
        layer.bias.copy_(fitted[:, -1])
    return False


def _solve(
    moments: torch.Tensor, products: torch.Tensor, own: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Least squares over some of the columns, held near the weights that are there."""
    ridge = _RIDGE * moments.diagonal().double().mean()
    left = moments[columns][:, columns].double()
    left.diagonal().add_(ridge)
    right = products[columns].double() + ridge * own[:, columns].T.double()
    return torch.linalg.solve(left, right).T.float()


class _SeenEnoughError(Exception):
    """Ends a layer whose rest is not needed."""


class _Probe:
    """Keeps a layer's features and what its sublayers give, for as long as the context lasts."""

    def __init__(self, encoder: Encoder, number: int, until: str = "") -> None:
        self.features: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}
        self._encoder = encoder
        self._number = number
        self._until = until
        self._handles: list[Any] = []
        self._middle: torch.Tensor | None = None

    def residual(self, kind: str, hidden: torch.Tensor) -> torch.Tensor:
        """The residual stream before a sublayer, for hidden states that entered the layer."""
        if kind == ATTENTION:
            return hidden
        if self._encoder.layout.norm_first:
            return hidden + self.outputs[ATTENTION]
        assert self._middle is not None  # noqa: S101 - the layer has run
        return self._middle

    def __enter__(self) -> Self:
        self._handles = list(self._hooks())
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hooks(self) -> Iterator[Any]:
        layer = self._encoder.layers[self._number]
        up = layer.get_submodule(self._encoder.layout.up)
        yield up.register_forward_pre_hook(self._enter_up)
        for kind in (ATTENTION, FFN):
            linear = self._encoder.output(Key(self._number, kind))
            yield linear.register_forward_pre_hook(self._before(kind))
            yield linear.register_forward_hook(self._after(kind))

    def _enter_up(self, _module: Any, args: tuple[torch.Tensor, ...]) -> None:
        self._middle = args[0]

    def _before(self, kind: str) -> Callable[..., None]:
        def keep(_module: Any, args: tuple[torch.Tensor, ...]) -> None:
            self.features[kind] = args[0]
            if kind == self._until:
                raise _SeenEnoughError

        return keep

    def _after(self, kind: str) -> Callable[..., None]:
        def keep(_module: Any, _args: Any, out: torch.Tensor) -> None:
            self.outputs[kind] = out

        return keep
