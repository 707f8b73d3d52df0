"""Texts that are too long: which tokens are kept, and the windows that hold the rest.

The same tokens as by the truncation of the ``tokenizers`` library, but picked from the whole
encoding. So the Rust object is never changed (one serves any number of lengths and threads), the
tokens left out can be counted, and two long texts of a pair cost the sum of their lengths: the
library builds every combination of their windows (430 MB for two texts of 4,000 words and rows
of 128 tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.text import refuse_surrogates

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Cut", "Encoding", "Truncation", "cut", "encode_heads", "no_room"]

Truncation = Literal["longest_first", "only_first", "only_second"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a text that is too long, with the special tokens of a whole one.

    It answers to the same names as ``tokenizers.Encoding``, so that whoever reads a row need
    not know whether its text was cut.

    Attributes:
        ids: Token ids.
        type_ids: Which text of a pair each token is of, as the model wants it.
        offsets: Characters each token covers in its text.
        special_tokens_mask: 1 for the tokens that the tokenizer added.
        sequence_ids: Which text each token is of; None for the added ones.
        word_ids: Which word of its text each token is of.
        overflowing: The windows after this one, if windows were asked for.
        dropped: Tokens of the text that no window holds.
    """

    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    special_tokens_mask: list[int]
    sequence_ids: list[int | None]
    word_ids: list[int | None]
    overflowing: tuple[Cut, ...] = ()
    dropped: int = 0

    @classmethod
    def of(cls, encoding: Encoding) -> Cut:
        """All of an encoding."""
        return cls(*(getattr(encoding, name) for name in _LISTS))

    def without(self, gaps: Sequence[tuple[int, int]], dropped: int) -> Cut:
        """What is left when some places are taken out."""

        def kept(values: list[T]) -> list[T]:
            stops = [0, *(stop for _, stop in gaps)]
            starts = [*(start for start, _ in gaps), len(values)]
            return [v for a, b in zip(stops, starts, strict=True) for v in values[a:b]]

        lists: dict[str, Any] = {name: kept(getattr(self, name)) for name in _LISTS}
        return Cut(**lists, dropped=dropped)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        """How many texts it is of."""
        return 1 + max((text for text in self.sequence_ids if text is not None), default=0)

    def token_to_word(self, token: int) -> int | None:
        """The word a token is of, or None."""
        return self.word_ids[token]

    def word_to_chars(self, word: int, sequence_index: int) -> tuple[int, int] | None:
        """The characters that a word's tokens here cover, or None if there are none."""
        texts, words = self.sequence_ids, self.word_ids
        try:
            first = last = words.index(word, texts.index(sequence_index))
        except ValueError:
            return None
        if texts[first] != sequence_index:
            return None
        while last + 1 < len(words) and words[last + 1] == word:
            last += 1
        return self.offsets[first][0], self.offsets[last][1]


_LISTS = ("ids", "type_ids", "offsets", "special_tokens_mask", "sequence_ids", "word_ids")

Encoding: TypeAlias = "tokenizers.Encoding | Cut"


def cut(
    encoding: Encoding, limit: int, truncation: Truncation, side: str, stride: int | None = None
) -> Cut:
    """Cuts an encoding that is too long, as the ``tokenizers`` library would have.

    Args:
        encoding: Of a text or a pair, with special tokens.
        limit: Most tokens of a row; fewer than the encoding has.
        truncation: Which text of a pair is cut.
        side: End of a text that is cut, ``"right"`` or ``"left"``.
        stride: Tokens that neighbouring windows share; None for no windows.

    Returns:
        What is kept; with a stride the first window, and the others in its ``overflowing``.

    Raises:
        InvalidInput: The text that must not be cut leaves no room, or the windows too little.
        InvalidConfig: The limit leaves no room beside the special tokens.
    """
    whole = Cut.of(encoding)
    texts = _texts(whole.sequence_ids, encoding.n_sequences)
    lengths = [stop - start for start, stop in texts]
    room = limit - (len(whole) - sum(lengths))
    keep = _KEPT[truncation](lengths, room)
    if min(keep) < 0 or sum(keep) < 1:
        raise no_room(limit, room)
    windows = [_windows(n, k, side, stride) for n, k in zip(lengths, keep, strict=True)]
    dropped = sum(lengths) - sum(keep) if stride is None else 0
    first, *rest = (whole.without(_gaps(texts, spans), dropped) for spans in product(*windows))
    return replace(first, overflowing=tuple(rest)) if rest else first


def encode_heads(
    texts: Sequence[Any],
    size: int,
    encode: Callable[[Sequence[Any]], list[Encoding]],
    count: Callable[[str], int],
) -> list[Encoding]:
    """Encodes texts whose ends are cut off, of which some are so long that only heads are read.

    What is behind a head is counted a piece at a time. Pieces end before a space, where every
    usual tokenizer splits too; without one in reach the count may be off by a token or two for
    each piece.

    Args:
        texts: Texts and pairs.
        size: Most characters of a head, and of a piece.
        encode: Encodes texts and cuts them.
        count: Tokens of a piece.

    Raises:
        InvalidInput: As ``encode``.
    """
    parted = [_parted(text, size) for text in texts]
    found = encode([head for head, _ in parted])
    for index, (_, pieces) in enumerate(parted):
        encoding = found[index]
        if pieces and isinstance(encoding, Cut):
            dropped = encoding.dropped + sum(map(count, pieces))
            found[index] = replace(encoding, dropped=dropped)
        elif pieces:  # a head of few tokens, of blanks say
            found[index] = encode([texts[index]])[0]
    return found


def _parted(text: Any, size: int) -> tuple[Any, list[str]]:
    """The head of a text and the pieces behind."""
    if not isinstance(text, str):  # which of a pair is cut depends on both lengths
        return text, []
    refuse_surrogates(text)
    pieces, start = [], 0
    while len(text) - start > size:
        stop = text.rfind(" ", start + 1, start + size)
        stop = start + size if stop < 0 else stop
        pieces.append(text[start:stop])
        start = stop
    pieces.append(text[start:])
    return pieces[0], pieces[1:]


def _windows(length: int, keep: int, side: str, stride: int | None) -> list[tuple[int, int]]:
    """Where the windows of one text lie in it; without a stride, the one that is kept."""
    starts: Sequence[int] = (0,)
    if keep < length and stride is not None:
        if stride >= keep:
            raise InvalidInput(
                f"a window has room for {keep} tokens of the long text and must hold more than "
                f"the stride of {stride}: give a smaller stride or a larger max_length"
            )
        starts = range(0, length - stride, keep - stride)
    spans = [(start, min(start + keep, length)) for start in starts]
    if side == "left":
        return [(length - stop, length - start) for start, stop in spans]
    return spans


def _longest_first(lengths: Sequence[int], room: int) -> list[int]:
    # As tokenizers does it: the longer text is cut down to the shorter, then both alike.
    if len(lengths) == 1:
        return [room]
    short, long = sorted(lengths)
    if short > room // 2:
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    return [short, long] if lengths[0] <= lengths[1] else [long, short]


def _only_first(lengths: Sequence[int], room: int) -> list[int]:
    keep = room - sum(lengths[1:])
    return [keep if keep > 0 else -1, *lengths[1:]]


def _only_second(lengths: Sequence[int], room: int) -> list[int]:
    keep = room - lengths[0]
    return [lengths[0], keep if keep > 0 else -1] if len(lengths) == 2 else [room]


_KEPT: Mapping[Truncation, Callable[[Sequence[int], int], list[int]]] = {
    "longest_first": _longest_first,
    "only_first": _only_first,
    "only_second": _only_second,
}


def _texts(sequence_ids: list[int | None], count: int) -> list[tuple[int, int]]:
    """Where each text's tokens lie; an empty text lies nowhere."""
    starts = [sequence_ids.index(text) if text in sequence_ids else 0 for text in range(count)]
    return [(start, start + sequence_ids.count(text)) for text, start in enumerate(starts)]


def _gaps(
    texts: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The places of texts that the spans leave out, in order."""
    gaps = [
        gap
        for (start, stop), (first, last) in zip(texts, spans, strict=True)
        for gap in ((start, start + first), (start + last, stop))
    ]
    return sorted(gap for gap in gaps if gap[0] < gap[1])


def no_room(limit: int, room: int) -> InvalidConfig | InvalidInput:
    """The error of a row without room for its text."""
    if room < 1:
        return InvalidConfig(
            f"max_length {limit} leaves no room for text beside the special tokens: give a larger"
        )
    return InvalidInput(
        f"the text of the pair that is not cut fills all {limit} tokens of a row: shorten it"
    )
