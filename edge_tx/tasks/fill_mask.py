"""Fill mask: the likeliest tokens for each mask of a text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.tasks.common import (
    BaseTask,
    Floats,
    Options,
    as_text,
    at_least,
    names,
    plain_rows,
    softmax,
)
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Fill", "FillMask", "FillOptions", "Fills"]

_TAKES = "a text with the mask token in it"
_BLOCK = 128


@light.dataclass(frozen=True, slots=True)
class FillOptions(Options):
    """Options of fill-mask.

    Attributes:
        top_k: Tokens to give for each mask.
        targets: Choose among these words only; a list, or a text with commas. Of a word that
            is no token the first piece is taken, with a warning.
    """

    top_k: int = 5
    targets: Sequence[str] | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        at_least("top_k", self.top_k, 1, optional=False)
        if self.targets is not None:
            object.__setattr__(self, "targets", names("targets", self.targets))
            if not self.targets:
                raise InvalidConfig("targets must name one word at least")


@dataclass(frozen=True, slots=True)
class Fill:
    """A token for a mask.

    Attributes:
        token: Its text.
        token_id: Its id.
        score: Probability.
        sequence: The text with the token in the mask's place.
    """

    token: str
    token_id: int
    score: float
    sequence: str


@dataclass(frozen=True, slots=True)
class Fills:
    """Tokens for the masks of a text.

    Attributes:
        masks: For each mask in order, its tokens, the likeliest first.
        truncated: Tokens of the text that the model did not see.
    """

    masks: tuple[tuple[Fill, ...], ...]
    truncated: int

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Those of the first mask."""
        return self.masks[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [[{n: getattr(f, n) for n in Fill.__slots__} for f in mask] for mask in self.masks]
        return {"masks": rows, "truncated": self.truncated}

    def answer(self) -> object:
        """The likeliest token of each mask."""
        return tuple(mask[0].token_id for mask in self.masks)


@dataclass(frozen=True, slots=True)
class _Scores:
    """Of each mask: some tokens with their probabilities, or those of the whole vocabulary."""

    ids: npt.NDArray[np.int64] | None
    values: Floats


class FillMask(BaseTask[FillOptions]):
    """Texts to fills, as transformers' ``FillMaskPipeline`` gives them."""

    name = "fill-mask"
    outputs = ("logits",)
    options_type = FillOptions

    def parse(self, value: Any, options: FillOptions) -> str:
        """A text."""
        return as_text(value, _TAKES)

    def encode(self, tokenizer: Tokenizer, items: Sequence[str], options: FillOptions) -> list[Row]:
        """One row per text, which knows where its masks are."""
        mask = tokenizer.policy.special.get("mask")
        if mask is None:
            raise InvalidConfig("the tokenizer has no mask token, so there is nothing to fill")
        rows = plain_rows(tokenizer, items, options)
        for i, row in enumerate(rows):
            places = tuple(place for place, token in enumerate(row.ids) if token == mask)
            if not places:
                raise _no_mask(items[i], row, tokenizer.token_of(mask))
            rows[i] = row._replace(places=places)
        return rows

    def reduce(
        self, outputs: Mapping[str, Array], rows: Sequence[Row], options: FillOptions
    ) -> list[_Scores]:
        """What is needed of the masks' logits; the rest of the vocabulary is dropped here."""
        return [
            _scores(row.own(line)[list(row.places)], options)
            for row, line in zip(rows, outputs["logits"], strict=True)
        ]

    def decode(
        self,
        tokenizer: Tokenizer,
        item: str,
        rows: Sequence[Row],
        parts: Sequence[_Scores],
        options: FillOptions,
    ) -> Fills:
        """The likeliest tokens, and the text with each of them."""
        row, part = rows[0], parts[0]
        ids, values = part.ids, part.values
        if ids is None:
            chosen = _target_ids(tokenizer, options.targets or ())
            ids, values = _top(values[:, chosen], options.top_k)
            ids = np.asarray(chosen)[ids]
        masks = tuple(
            tuple(
                _fill(tokenizer, row, place, token, score)
                for token, score in zip(line.tolist(), scores.tolist(), strict=True)
            )
            for place, line, scores in zip(row.places, ids, values, strict=True)
        )
        return Fills(masks, row.truncated)


def _scores(logits: Array, options: FillOptions) -> _Scores:
    values = softmax(logits.astype(np.float32))
    if options.targets is not None:  # their ids are the tokenizer's to tell, in decode
        return _Scores(None, values)
    return _Scores(*_top(values, options.top_k))


def _top(values: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Columns and values of each row's highest, the highest first."""
    count = min(count, values.shape[1])
    columns = np.stack([_highest(row, count) for row in values])
    return columns, np.take_along_axis(values, columns, 1)


def _highest(row: Floats, count: int) -> npt.NDArray[np.int64]:
    # Sorting a vocabulary takes ten times as long as its softmax. The count-th highest of the
    # blocks' maxima is a bound that only a few of all the values reach.
    maxima = np.maximum.reduceat(row, np.arange(0, len(row), _BLOCK))
    near = np.arange(len(row))
    if count < len(maxima):
        near = np.flatnonzero(row >= np.partition(maxima, -count)[-count])
    return near[np.argsort(-row[near], kind="stable")[:count]]


def _fill(tokenizer: Tokenizer, row: Row, place: int, token: int, score: float) -> Fill:
    pad = tokenizer.policy.special.get("pad")
    filled = [*row.ids[:place], token, *row.ids[place + 1 :]]
    # With several masks the others must stay visible.
    sequence = tokenizer.decode(
        [i for i in filled if i != pad], skip_special_tokens=len(row.places) == 1
    )
    return Fill(tokenizer.decode([token]), token, score, sequence)


def _target_ids(tokenizer: Tokenizer, targets: Sequence[str]) -> list[int]:
    found: dict[int, None] = {}
    for target in targets:
        token = tokenizer.id_of(target)
        if token is None:
            token = _first_piece(tokenizer, target)
        if token is not None:
            found[token] = None
    if not found:
        raise InvalidConfig(f"none of the targets {', '.join(map(repr, targets))} has a token")
    return list(found)


def _first_piece(tokenizer: Tokenizer, target: str) -> int | None:
    pieces = tokenizer.pieces(target).ids
    taken = f"its first piece {tokenizer.token_of(pieces[0])!r} stands for it" if pieces else ""
    warnings.warn(
        f"the target {target!r} is no token of this model: {taken or 'it is left out'}",
        UserWarning,
        stacklevel=2,
    )
    return pieces[0] if pieces else None


def _no_mask(text: str, row: Row, mask: str) -> InvalidInput:
    where = f" in the first {len(row.ids)} tokens of the text" if row.truncated else " in the text"
    return InvalidInput(f"there is no mask token {mask}{where}; this task takes {_TAKES}")
