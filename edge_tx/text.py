"""Text to token ids, and token ids to the arrays a graph is fed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_tx.errors import BundleCorrupt, InvalidConfig, InvalidInput
from edge_tx.tensors import Array

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Row", "Tokenizer", "TokenizerPolicy", "Truncation", "collate"]

Truncation = Literal["longest_first", "only_first", "only_second"]


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
    """

    max_length: int
    inputs: tuple[str, ...]
    pad_id: int = 0
    pad_type_id: int = 0
    padding_side: str = "right"
    truncation_side: str = "right"
    special: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise InvalidConfig(f"max_length must be 1 or more, not {self.max_length}")
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("left", "right"):
                raise InvalidConfig(f"{name} must be left or right, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch: the whole of an item, or one window of it.

    Attributes:
        item: Index of the item in its call.
        ids: Token ids, unpadded.
        encoding: The tokenizer's own record: offsets, word ids, type ids, masks.
        truncated: Tokens of the item that no row holds, because it was too long.
        part: What the row is to its item when there are several, e.g. a label's index.
    """

    item: int
    ids: list[int]
    encoding: tokenizers.Encoding
    truncated: int = 0
    part: int = 0


class Tokenizer:
    """A ``tokenizer.json`` and the policy it is used by. Safe to share between threads.

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
        self._lock = threading.Lock()
        # A truncation setting is a mutation of the Rust object, and changing it while another
        # thread encodes raises "Already borrowed": each setting gets a copy of its own.
        self._by_setting: dict[tuple[int, Truncation, int], tokenizers.Tokenizer] = {}

    @classmethod
    def from_file(cls, path: Path, policy: TokenizerPolicy) -> Tokenizer:
        """Reads a ``tokenizer.json``."""
        return cls(path.read_text(encoding="utf-8"), policy)

    def encode(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        *,
        max_length: int | None = None,
        truncation: Truncation = "longest_first",
        stride: int = 0,
    ) -> list[tokenizers.Encoding]:
        """Encodes texts or pairs of texts, unpadded, with special tokens.

        Args:
            texts: All single texts, or all pairs.
            max_length: Most tokens in a row; the policy's if not given.
            truncation: Which text of a pair is cut.
            stride: Tokens that neighbouring windows share; windows are the encoding's
                ``overflowing``.

        Raises:
            InvalidInput: A text is not valid Unicode (a lone surrogate).
            InvalidConfig: ``max_length`` leaves no room for text, or the stride is too long.
        """
        tok = self._with(max_length or self.policy.max_length, truncation, stride)
        try:
            if len(texts) == 1:
                one = texts[0]
                return [tok.encode(one) if isinstance(one, str) else tok.encode(*one)]
            return tok.encode_batch(list(texts))
        except (TypeError, UnicodeEncodeError) as exc:
            _refuse_surrogates(texts, exc)
            raise

    def added_tokens(self, pair: bool = False) -> int:
        """How many special tokens are added to a text, or to a pair."""
        return int(self._plain.num_special_tokens_to_add(pair))

    def id_of(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._plain.token_to_id(token)

    def token_of(self, token_id: int) -> str:
        """The token of an id; empty if there is none."""
        return self._plain.id_to_token(token_id) or ""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Text of token ids."""
        return self._plain.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def _with(self, max_length: int, truncation: Truncation, stride: int) -> tokenizers.Tokenizer:
        key = (max_length, truncation, stride)
        ready = self._by_setting.get(key)
        if ready is not None:
            return ready
        with self._lock:
            if key not in self._by_setting:
                self._by_setting[key] = self._copy_with(max_length, truncation, stride)
            return self._by_setting[key]

    def _copy_with(
        self, max_length: int, truncation: Truncation, stride: int
    ) -> tokenizers.Tokenizer:
        import tokenizers

        room = max_length - self.added_tokens(pair=truncation != "longest_first")
        if room < 1 or stride >= room:
            raise InvalidConfig(
                f"max_length {max_length} leaves room for {max(room, 0)} tokens beside the "
                f"special ones, with stride {stride}: give a larger max_length or smaller stride"
            )
        # The first setting takes the original: most models only ever use one.
        first = not self._by_setting
        tok = self._plain if first else tokenizers.Tokenizer.from_str(self._plain.to_str())
        tok.enable_truncation(
            max_length, stride=stride, strategy=truncation, direction=self.policy.truncation_side
        )
        return tok


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


def _refuse_surrogates(texts: Sequence[str] | Sequence[tuple[str, str]], exc: Exception) -> None:
    for index, text in enumerate(texts):
        for part in (text,) if isinstance(text, str) else text:
            bad = next((i for i, c in enumerate(part) if "\ud800" <= c <= "\udfff"), None)
            if bad is not None:
                raise InvalidInput(
                    f"input {index} has a lone surrogate (\\u{ord(part[bad]):04x}) at character "
                    f"{bad}, which is not valid Unicode: decode the text with errors='replace'"
                ) from exc
