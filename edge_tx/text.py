"""Text to token ids, and token ids to the arrays a graph is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_tx.errors import BundleCorrupt, InvalidConfig, InvalidInput
from edge_tx.policy import TokenizerPolicy
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.truncation import Encoding, Truncation

__all__ = [
    "Row",
    "Tokenizer",
    "TokenizerPolicy",
    "collate",
    "refuse_surrogates",
]


# Characters of a text that are encoded in one go where the rest is cut off anyway: the library's
# record of a text takes some 150 bytes for each of them.
_LONG = 1 << 18


class Row(NamedTuple):
    """One row of a batch: the whole of an item, or one window of it.

    Attributes:
        item: Index of the item in its call.
        ids: Token ids, unpadded.
        encoding: The tokenizer's own record: offsets, word ids, type ids, masks.
        truncated: Tokens of the item that no row holds, because it was too long.
        part: What the row is to its item when there are several, e.g. a label's index.
        places: Positions of ``ids`` whose outputs the task wants; empty for all.
    """

    item: int
    ids: list[int]
    encoding: Encoding
    truncated: int = 0
    part: int = 0
    places: tuple[int, ...] = ()

    def own(self, values: Array) -> Array:
        """Its own positions of a padded output's row, as a view."""
        return values[: len(self.ids)]


class Tokenizer:
    """A ``tokenizer.json`` and the policy it is used by. Safe to share between threads.

    The Rust object is never changed after it is made; see :mod:`edge_tx.truncation`.

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
            One encoding per text; a :class:`edge_tx.truncation.Cut` where the text was too long.

        Raises:
            InvalidInput: A text is not valid Unicode (a lone surrogate), or the text of a pair
                that must not be cut fills the row.
            InvalidConfig: ``max_length`` leaves no room for text, or is over the model's.
        """
        limit = self._checked(max_length) if max_length is not None else self.policy.max_length
        if stride is None and self.policy.truncation_side == "right" and any(map(_is_long, texts)):
            from edge_tx.truncation import encode_heads

            return encode_heads(
                texts,
                _LONG,
                lambda some: self._encode(some, limit, truncation, None),
                lambda text: len(self.pieces(text)),
            )
        return self._encode(texts, limit, truncation, stride)

    def _encode(
        self,
        texts: Sequence[str | tuple[str, str]] | Sequence[str] | Sequence[tuple[str, str]],
        limit: int,
        truncation: Truncation,
        stride: int | None,
    ) -> list[Encoding]:
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
                from edge_tx.truncation import cut  # most processes meet no such text

                encodings[index] = cut(
                    encoding, limit, truncation, self.policy.truncation_side, stride
                )
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
            from edge_tx.truncation import no_room

            raise no_room(max_length, 0)
        return max_length


def _is_long(text: str | tuple[str, str]) -> bool:
    return isinstance(text, str) and len(text) > _LONG


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

    On the right, whatever side a checkpoint was trained with: a row's tokens then have the
    positions that they have alone, so that its answer is the same in any company.

    Args:
        rows: One or more rows.
        policy: Names of the inputs, and pad ids.
        length: Pad to at least this many tokens; to the longest row if 0.

    Returns:
        ``int64[batch, seq]`` by input name.
    """
    if len(rows) == 1 and length <= len(rows[0].ids):
        row = rows[0]  # a single text, on whose way all counts
        return {name: np.array([_UNPADDED[name](row)], np.int64) for name in policy.inputs}
    seq = max(length, max(len(row.ids) for row in rows))
    return {name: _COLUMNS[name](rows, policy, seq) for name in policy.inputs}


def _ids(rows: Sequence[Row], policy: TokenizerPolicy, seq: int) -> Array:
    return _padded([row.ids for row in rows], policy.pad_id, seq)


def _type_ids(rows: Sequence[Row], policy: TokenizerPolicy, seq: int) -> Array:
    return _padded([row.encoding.type_ids for row in rows], policy.pad_type_id, seq)


def _mask(rows: Sequence[Row], _policy: TokenizerPolicy, seq: int) -> Array:
    lengths = np.array([[len(row.ids)] for row in rows])
    return (np.arange(seq) < lengths).astype(np.int64)


def _padded(values: Sequence[Sequence[int]], fill: int, seq: int) -> Array:
    out = np.full((len(values), seq), fill, dtype=np.int64)
    for line, ids in zip(out, values, strict=True):
        line[: len(ids)] = ids
    return out


_COLUMNS = {"input_ids": _ids, "attention_mask": _mask, "token_type_ids": _type_ids}
_UNPADDED: Mapping[str, Callable[[Row], list[int]]] = {
    "input_ids": lambda row: row.ids,
    "attention_mask": lambda row: [1] * len(row.ids),
    "token_type_ids": lambda row: row.encoding.type_ids,
}


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
