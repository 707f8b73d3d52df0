"""Text to token ids, and token ids to the arrays a graph is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np

from edge_tx.errors import BundleCorrupt, InvalidConfig, InvalidInput
from edge_tx.tensors import Array

if TYPE_CHECKING:
    import tokenizers

__all__ = [
    "Cut",
    "Encoding",
    "Row",
    "Tokenizer",
    "TokenizerPolicy",
    "Truncation",
    "collate",
    "refuse_surrogates",
]

Truncation = Literal["longest_first", "only_first", "only_second"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenizerPolicy:
    """What a tokenizer file does not say, or says wrongly, about feeding the model.

    Truncation and padding inside ``tokenizer.json`` are left-overs of training; both are
    cleared, and this record counts.

    Attributes:
        max_length: Most tokens in one row, special tokens included.
        inputs: The graph's inputs in order, e.g. ``("input_ids", "attention_mask")``.
        pad_id: Token id that fills a row up.
        pad_type_id: Token type id that fills a row up.
        padding_side: ``"right"`` or ``"left"``.
        truncation_side: End of a long text that is cut, ``"right"`` or ``"left"``.
        special: Ids of special tokens by role: ``cls``, ``sep``, ``mask``, ``unk``, ``pad``,
            ``bos``, ``eos``; a role the tokenizer lacks is absent.
        clean_up_spaces: Whether decoded text loses the spaces before punctuation
            (transformers' ``clean_up_tokenization_spaces``, which it honours for all but BPE).
    """

    max_length: int
    inputs: tuple[str, ...]
    pad_id: int = 0
    pad_type_id: int = 0
    padding_side: str = "right"
    truncation_side: str = "right"
    special: Mapping[str, int] = field(default_factory=dict)
    clean_up_spaces: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise InvalidConfig(f"max_length must be 1 or more, not {self.max_length}")
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("left", "right"):
                raise InvalidConfig(f"{name} must be left or right, not {getattr(self, name)!r}")


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


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch: the whole of an item, or one window of it.

    Attributes:
        item: Index of the item in its call.
        ids: Token ids, unpadded.
        encoding: The tokenizer's own record: offsets, word ids, type ids, masks.
        truncated: Tokens of the item that no row holds, because it was too long.
        part: What the row is to its item when there are several, e.g. a label's index.
        places: Positions of ``ids`` whose outputs the task wants; empty for all.
        left: Whether padding goes before the row.
    """

    item: int
    ids: list[int]
    encoding: Encoding
    truncated: int = 0
    part: int = 0
    places: tuple[int, ...] = ()
    left: bool = False

    def own(self, values: Array) -> Array:
        """Its own positions of a padded output's row, as a view."""
        return values[len(values) - len(self.ids) :] if self.left else values[: len(self.ids)]


class Tokenizer:
    """A ``tokenizer.json`` and the policy it is used by. Safe to share between threads.

    The Rust object is never changed after it is made: truncation is done here, by picking
    from the whole encoding. So any number of lengths needs no copy of the vocabulary and no
    lock, the tokens left out can be counted, and two long texts of a pair do not cost the
    product of their lengths (the Rust side builds every combination of their windows: 3 GB
    for two texts of 50,000 characters).

    Args:
        json: Contents of ``tokenizer.json``.
        policy: How to use it.

    Raises:
        BundleCorrupt: The contents are not a tokenizer.
    """

    def __init__(self, json: str, policy: TokenizerPolicy) -> None:
        import tokenizers

        try:
            plain = tokenizers.Tokenizer.from_str(json)
        except Exception as exc:  # the Rust side raises bare Exception
            raise BundleCorrupt(f"tokenizer.json cannot be read: {exc}") from exc
        plain.no_padding()
        plain.no_truncation()
        self.policy = policy
        self._plain = plain
        self._added = (
            int(plain.num_special_tokens_to_add(False)),
            int(plain.num_special_tokens_to_add(True)),
        )

    @classmethod
    def from_file(cls, path: Path, policy: TokenizerPolicy) -> Tokenizer:
        """Reads a ``tokenizer.json``."""
        return cls(path.read_text(encoding="utf-8"), policy)

    def encode(
        self,
        texts: Sequence[str | tuple[str, str]] | Sequence[str] | Sequence[tuple[str, str]],
        *,
        max_length: int | None = None,
        truncation: Truncation = "longest_first",
        stride: int | None = None,
    ) -> list[Encoding]:
        """Encodes texts and pairs of texts, unpadded, with special tokens.

        Args:
            texts: Texts or pairs.
            max_length: Most tokens in a row; the policy's if not given.
            truncation: Which text of a pair is cut.
            stride: Tokens that neighbouring windows of a cut text share. If given, a long
                text's windows are its encoding's ``overflowing``; else what is cut is lost.

        Returns:
            One encoding per text; a :class:`Cut` where the text was too long.

        Raises:
            InvalidInput: A text is not valid Unicode (a lone surrogate), or the text of a pair
                that must not be cut fills the row.
            InvalidConfig: ``max_length`` leaves no room for text, or is over the model's.
        """
        limit = self._checked(max_length) if max_length is not None else self.policy.max_length
        encodings: list[Encoding]
        try:
            if len(texts) == 1:
                one = texts[0]
                encodings = [
                    self._plain.encode(one) if isinstance(one, str) else self._plain.encode(*one)
                ]
            else:
                encodings = list(self._plain.encode_batch(list(texts)))
        except TypeError:  # what the Rust side raises for a lone surrogate
            for text in texts:
                for part in (text,) if isinstance(text, str) else text:
                    refuse_surrogates(part)
            raise
        for index, encoding in enumerate(encodings):
            if len(encoding) > limit:
                encodings[index] = self._cut(encoding, limit, truncation, stride)
        return encodings

    def added_tokens(self, pair: bool = False) -> int:
        """How many special tokens are added to a text, or to a pair."""
        return self._added[pair]

    def id_of(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._plain.token_to_id(token)

    def token_of(self, token_id: int) -> str:
        """The token of an id; empty if there is none."""
        return self._plain.id_to_token(token_id) or ""

    def pieces(self, text: str) -> Encoding:
        """A text's own tokens, without special ones and uncut."""
        return self._plain.encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Text of token ids."""
        text: str = self._plain.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return _cleaned(text) if self.policy.clean_up_spaces and not self._is_bpe else text

    def join(self, tokens: Sequence[str]) -> str:
        """Text of tokens."""
        decoder = self._plain.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    @cached_property
    def marks_subwords(self) -> bool:
        """Whether the pieces inside a word are marked, as WordPiece does with ``##``."""
        return bool(getattr(self._plain.model, "continuing_subword_prefix", None))

    @cached_property
    def _is_bpe(self) -> bool:
        return type(self._plain.model).__name__ == "BPE"

    def _checked(self, max_length: int) -> int:
        if max_length > self.policy.max_length:
            raise InvalidConfig(
                f"max_length {max_length} is more than the {self.policy.max_length} tokens this "
                "model reads: give a smaller one"
            )
        if max_length <= self._added[0]:
            raise _no_room(max_length, 0)
        return max_length

    def _cut(
        self, encoding: Encoding, limit: int, truncation: Truncation, stride: int | None
    ) -> Cut:
        whole = Cut.of(encoding)
        texts = _texts(whole.sequence_ids, encoding.n_sequences)
        lengths = [stop - start for start, stop in texts]
        room = limit - (len(whole) - sum(lengths))
        keep = _KEPT[truncation](lengths, room)
        if min(keep) < 0 or sum(keep) < 1:
            raise _no_room(limit, room)
        windows = [self._windows(n, k, stride) for n, k in zip(lengths, keep, strict=True)]
        dropped = sum(lengths) - sum(keep) if stride is None else 0
        first, *rest = (whole.without(_gaps(texts, spans), dropped) for spans in product(*windows))
        return replace(first, overflowing=tuple(rest)) if rest else first

    def _windows(self, length: int, keep: int, stride: int | None) -> list[tuple[int, int]]:
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
        if self.policy.truncation_side == "left":
            return [(length - stop, length - start) for start, stop in spans]
        return spans


def refuse_surrogates(text: str) -> None:
    """Raises if a text has a lone surrogate, which no tokenizer takes.

    Raises:
        InvalidInput: Says which and where.
    """
    if text.isascii():  # free: Python knows it
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidInput(
            f"the text has a lone surrogate (\\u{ord(text[exc.start]):04x}) at character "
            f"{exc.start}, which is not valid Unicode: decode it with errors='replace'"
        ) from exc


def collate(rows: Sequence[Row], policy: TokenizerPolicy, length: int = 0) -> dict[str, Array]:
    """Pads rows into the arrays a graph is fed.

    Args:
        rows: One or more rows.
        policy: Names of the inputs, padding side and pad ids.
        length: Pad to at least this many tokens; to the longest row if 0.

    Returns:
        ``int64[batch, seq]`` by input name.
    """
    seq = max(length, max(len(row.ids) for row in rows))
    return {name: _COLUMNS[name](rows, policy, seq) for name in policy.inputs}


def _ids(rows: Sequence[Row], policy: TokenizerPolicy, seq: int) -> Array:
    return _padded([row.ids for row in rows], policy.pad_id, policy, seq)


def _type_ids(rows: Sequence[Row], policy: TokenizerPolicy, seq: int) -> Array:
    return _padded([row.encoding.type_ids for row in rows], policy.pad_type_id, policy, seq)


def _mask(rows: Sequence[Row], policy: TokenizerPolicy, seq: int) -> Array:
    lengths = np.array([[len(row.ids)] for row in rows])
    places = np.arange(seq)
    if policy.padding_side == "left":
        places = places[::-1]
    return (places < lengths).astype(np.int64)


def _padded(values: Sequence[Sequence[int]], fill: int, policy: TokenizerPolicy, seq: int) -> Array:
    out = np.full((len(values), seq), fill, dtype=np.int64)
    left = policy.padding_side == "left"
    for line, ids in zip(out, values, strict=True):
        line[seq - len(ids) if left else 0 : seq if left else len(ids)] = ids
    return out


_COLUMNS = {"input_ids": _ids, "attention_mask": _mask, "token_type_ids": _type_ids}


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


def _no_room(limit: int, room: int) -> InvalidConfig | InvalidInput:
    if room < 1:
        return InvalidConfig(
            f"max_length {limit} leaves no room for text beside the special tokens: give a larger"
        )
    return InvalidInput(
        f"the text of the pair that is not cut fills all {limit} tokens of a row: shorten it"
    )


def _cleaned(text: str) -> str:
    for spaced, tight in _CLEAN_UP:
        text = text.replace(spaced, tight)
    return text


# As transformers' clean_up_tokenization: the same replacements in the same order.
_CLEAN_UP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
