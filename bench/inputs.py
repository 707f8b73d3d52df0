"""Inputs to measure with: real ones as they are, or cut and continued to a length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx import tasks
from edge_tx.bundle import Bundle
from edge_tx.errors import EdgeTxError, InvalidConfig

__all__ = ["Material", "spread", "texts_of"]

# Most inputs that are timed: enough for any mix of lengths, and few enough for a whole pass.
_MOST = 256
# Inputs of one length: more than one, as a text's content decides what a tokenizer does.
_OF_LENGTH = 8


def texts_of(
    bundle: Bundle, inputs: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs that were given, or those of the golden answers, with their options.

    Raises:
        InvalidConfig: None were given, and the bundle has no golden answers.
    """
    if inputs:
        return inputs, dict(options)
    cases = bundle.golden().cases
    if not cases:
        raise InvalidConfig(f"{bundle.origin} has no golden answers to measure with: give inputs")
    same = tuple(c.input for c in cases if c.options == cases[0].options)
    return same, {**cases[0].options, **options}


def spread(inputs: Sequence[Any], most: int = _MOST) -> tuple[Any, ...]:
    """At most so many of the inputs, evenly from first to last."""
    if len(inputs) <= most:
        return tuple(inputs)
    return tuple(inputs[index * len(inputs) // most] for index in range(most))


@dataclass(frozen=True)
class Material:
    """A bundle's inputs, and what makes some of them as long as is wanted.

    Attributes:
        bundle: Whose tokenizer and task count the tokens.
        inputs: Real ones.
        options: The task's options.
    """

    bundle: Bundle
    inputs: tuple[Any, ...]
    options: Mapping[str, Any]

    def of(self, seq: int) -> tuple[Any, ...]:
        """Inputs of a length.

        Each is made of real text: an input's last text, continued by those of the next ones,
        and cut where the whole has as many tokens as are wanted.

        Args:
            seq: Tokens of a row, special tokens included; 0 for the inputs as they are.

        Raises:
            InvalidConfig: The model does not read so many tokens, or none of the inputs can be
                cut to so few.
        """
        if not seq:
            return spread(self.inputs)
        limit = self.bundle.manifest.tokenizer.max_length
        if seq > limit:
            raise InvalidConfig(f"{seq} tokens are more than the {limit} that this model reads")
        found = tuple(value for value in self._cut(seq) if value is not None)
        if not found:
            raise InvalidConfig(f"no input of '{self.bundle.manifest.task}' has {seq} tokens")
        return found

    def _cut(self, seq: int) -> Iterator[Any]:
        tokens = self._counter()
        for index in range(min(_OF_LENGTH, len(self.inputs))):
            turned = (*self.inputs[index:], *self.inputs[:index])
            text = _long(turned, seq)
            yield _fitted(turned[0], text, seq, tokens)

    def _counter(self) -> Any:
        manifest = self.bundle.manifest
        task, tokenizer = tasks.create(manifest.task, manifest.settings), self.bundle.tokenizer()
        options = task.options(**self.options)

        def tokens(value: Any) -> int:
            try:
                rows = task.encode(tokenizer, [task.parse(value, options)], options)
            except EdgeTxError:  # too short to be one, e.g. without the mask of a fill-mask input
                return 0
            # A text that was cut is longer than its row says.
            return max((len(row.ids) + row.truncated for row in rows), default=0)

        return tokens


def _fitted(value: Any, text: str, seq: int, tokens: Any) -> Any:
    """The input with the shortest start of a text that has ``seq`` tokens; None if none has."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if tokens(with_last(value, text[:middle])) < seq:
            low = middle + 1
        else:
            high = middle
    # A longer start may have fewer tokens, as pieces join to words: look around as well.
    for length in sorted(range(max(0, low - 24), min(len(text), low + 24) + 1),
                         key=lambda n: abs(n - low)):  # fmt: skip
        fitted = with_last(value, text[:length])
        if tokens(fitted) == seq:
            return fitted
    return None


def _long(inputs: Sequence[Any], seq: int) -> str:
    """The inputs' last texts, one after another, until there are certainly enough tokens."""
    texts = [text for text in map(last_text, inputs) if text.strip()] or ["."]
    # No tokenizer that we export makes less than a token of 16 characters of running text.
    repeats = -(-16 * seq // sum(map(len, texts)))
    return " ".join(texts * max(1, repeats))


def last_text(value: Any) -> str:
    """The text that an input's length is in: itself, or the last of a pair or record."""
    if isinstance(value, str):
        return value
    parts = list(value.values()) if isinstance(value, Mapping) else value
    return last_text(parts[-1]) if isinstance(parts, Sequence) and parts else ""


def with_last(value: Any, text: str) -> Any:
    """The input with another last text."""
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {**value, list(value)[-1]: text}
    return (*value[:-1], text)
