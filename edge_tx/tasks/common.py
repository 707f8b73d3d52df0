"""What the tasks share: options, inputs, rows, and scores from logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from edge_tx import light
from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.manifest import TaskSettings
from edge_tx.tensors import Array
from edge_tx.text import Row, Tokenizer, refuse_surrogates

if TYPE_CHECKING:
    from edge_tx.truncation import Truncation

__all__ = [
    "ACTIVATIONS",
    "BaseTask",
    "Options",
    "Pair",
    "as_pair",
    "as_text",
    "at_least",
    "check_width",
    "is_bool",
    "is_text",
    "labels_of",
    "names",
    "one_of",
    "plain_rows",
    "prompted",
    "refuse_too_long",
    "sigmoid",
    "softmax",
    "window_rows",
]

Floats = np.ndarray[tuple[Any, ...], np.dtype[np.float32]]
Pair = tuple[str, str]


@light.dataclass(frozen=True, slots=True)
class Options:
    """Options that every task has.

    Attributes:
        max_length: Most tokens of a row; the model's own if None.
        too_long: What becomes of a longer text: ``"truncate"`` it or raise an ``"error"``.
    """

    max_length: int | None = None
    too_long: Literal["truncate", "error"] = "truncate"

    def __post_init__(self) -> None:
        at_least("max_length", self.max_length, 1)
        one_of("too_long", self.too_long, ("truncate", "error"))


O = TypeVar("O", bound=Options)  # noqa: E741


class BaseTask(Generic[O]):
    """A task's settings and its options' defaults.

    Args:
        settings: What the model says of itself.
        stamp: Of the graph that will answer; vectors carry it.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    options_type: type[O]

    def __init__(self, settings: TaskSettings, stamp: str = "") -> None:
        self.settings = settings
        self.stamp = stamp
        self._defaults = self.options_type()
        self._names = tuple(field.name for field in fields(self._defaults))

    def options(self, **overrides: Any) -> O:
        """The call options, with defaults overridden.

        Raises:
            UnknownName: An option this task does not have.
            InvalidConfig: A value that makes no sense.
        """
        if not overrides:
            return self._defaults
        for name in overrides:
            if name not in self._names:
                raise UnknownName(f"option of {self.name}", name, self._names)
        return replace(self._defaults, **overrides)


# ---------------------------------------------------------------------------------- options


def at_least(name: str, value: Any, least: int, *, optional: bool = True) -> None:
    """Raises InvalidConfig unless an option is an integer of at least ``least``, or None."""
    if value is None and optional:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidConfig(f"{name} must be an integer of {least} or more, not {value!r}")


def one_of(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises InvalidConfig unless an option is one of its values."""
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise InvalidConfig(f"{name} must be one of {known}, not {value!r}")


def is_text(name: str, value: Any, *, optional: bool = False) -> None:
    """Raises InvalidConfig unless an option is a text, or None."""
    if not isinstance(value, str) and not (value is None and optional):
        raise InvalidConfig(f"{name} must be a text, not {value!r}; write '\"{value}\"' in JSON")


def is_bool(name: str, value: Any) -> None:
    """Raises InvalidConfig unless an option is true or false."""
    if not isinstance(value, bool):
        raise InvalidConfig(f"{name} must be true or false, not {value!r}")


def names(name: str, value: str | Iterable[str] | None) -> tuple[str, ...]:
    """A list option as a tuple: from an iterable of texts, or from one text with commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    parts: tuple[Any, ...] = tuple(value) if isinstance(value, Iterable) else (value,)
    for part in parts:
        is_text(name, part)
    return parts


# ----------------------------------------------------------------------------------- inputs


def as_text(value: Any, takes: str = "a text") -> str:
    """Checks an input that is one text: a ``str``, or a mapping with ``text`` alone.

    Raises:
        InvalidInput: It is something else, or not valid Unicode.
    """
    if not isinstance(value, str):
        value = _fields(value, ("text",), takes)[0]
    refuse_surrogates(value)
    return value  # type: ignore[no-any-return]


def as_pair(value: Any, keys: Pair, takes: str) -> Pair:
    """Checks an input that is a pair: a tuple or list of two texts, or a mapping.

    Args:
        value: The input.
        keys: The mapping's keys.
        takes: What the task takes, in words.

    Raises:
        InvalidInput: It is something else, or not valid Unicode.
    """
    if not isinstance(value, (tuple, list)):
        value = _fields(value, keys, takes)
    if len(value) != 2 or not isinstance(value[0], str) or not isinstance(value[1], str):
        raise InvalidInput(f"this task takes {takes}, not {_described(value)}")
    first, second = value
    refuse_surrogates(first)
    refuse_surrogates(second)
    return first, second


def _fields(value: Any, keys: Sequence[str], takes: str) -> list[str]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"this task takes {takes}, not {_described(value)}")
    if value.keys() != set(keys):
        wanted, given = (", ".join(map(repr, k)) or "none" for k in (keys, value))
        raise InvalidInput(f"this task takes {takes}: the keys must be {wanted}, not {given}")
    found = [value[key] for key in keys]
    for key, text in zip(keys, found, strict=True):
        if not isinstance(text, str):
            raise InvalidInput(f"'{key}' must be a text, not {_described(text)}")
    return found


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        inside = ", ".join(type(part).__name__ for part in value[:3])
        return f"a {type(value).__name__} of {len(value)} ({inside}{', ...' * (len(value) > 3)})"
    return type(value).__name__


# ------------------------------------------------------------------------------------- rows


def plain_rows(
    tokenizer: Tokenizer,
    items: Sequence[str | Pair],
    options: Options,
    truncation: Truncation = "longest_first",
) -> list[Row]:
    """One row per item.

    Raises:
        InvalidInput: A text is too long and the options say that is an error.
        InvalidConfig: ``max_length`` does not fit the model.
    """
    encodings = tokenizer.encode(items, max_length=options.max_length, truncation=truncation)
    rows = []
    for index, encoding in enumerate(encodings):
        dropped: int = getattr(encoding, "dropped", 0)  # a Cut has it, the library's own has not
        if dropped:
            refuse_too_long(items[index], len(encoding), dropped, options)
        if not encoding.ids:  # of a tokenizer without special tokens
            raise InvalidInput("the text has no tokens, and this model needs one at least")
        rows.append(Row(index, encoding.ids, encoding, dropped))
    return rows


def window_rows(
    tokenizer: Tokenizer,
    items: Sequence[str | Pair],
    max_length: int | None,
    stride: int,
    truncation: Truncation,
) -> list[Row]:
    """One row per item, or several that overlap by ``stride`` tokens if it is too long.

    Raises:
        InvalidInput: The part of a pair that is not cut leaves too little room.
        InvalidConfig: ``max_length`` does not fit the model.
    """
    encodings = tokenizer.encode(items, max_length=max_length, truncation=truncation, stride=stride)
    return [
        Row(index, window.ids, window, part=part)
        for index, encoding in enumerate(encodings)
        for part, window in enumerate((encoding, *encoding.overflowing))
    ]


def prompted(items: Sequence[Any], prefix: str) -> Sequence[Any]:
    """Items with a prompt before their text, or before a pair's first text."""
    if not prefix:
        return items
    return [
        prefix + item if isinstance(item, str) else (prefix + item[0], *item[1:]) for item in items
    ]


def refuse_too_long(item: str | Pair, limit: int, dropped: int, options: Options) -> None:
    """Raises InvalidInput if tokens were dropped and the options say that is an error."""
    if not dropped or options.too_long == "truncate":
        return
    text = item if isinstance(item, str) else item[0]
    shown = text if len(text) <= 40 else text[:39] + "…"
    raise InvalidInput(
        f"the input {shown!r} has {limit + dropped} tokens, more than the {limit} there is room "
        "for: shorten it, or allow too_long='truncate'"
    )


# ----------------------------------------------------------------------------------- scores


def softmax(logits: Array) -> Array:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def sigmoid(logits: Array) -> Array:
    """Logistic function, without overflow for large negative numbers."""
    half = np.asarray(0.5, dtype=logits.dtype)
    return half * (1 + np.tanh(half * logits))  # type: ignore[no-any-return]


def _unchanged(logits: Array) -> Array:
    return logits


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": _unchanged,
}


def labels_of(settings: TaskSettings, task: str) -> tuple[str, ...]:
    """A classifier's labels.

    Raises:
        InvalidConfig: There are none, or two are the same.
    """
    labels = settings.labels
    if not labels:
        raise InvalidConfig(f"'{task}' needs the model's labels, and there are none")
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise InvalidConfig(f"'{task}' needs labels that differ: '{twice}' is there twice")
    return labels


def check_width(logits: Array, labels: Sequence[str]) -> None:
    """Raises InvalidConfig unless there are as many scores as labels."""
    if logits.shape[-1] != len(labels):
        raise InvalidConfig(
            f"the graph gives {logits.shape[-1]} scores but the model has {len(labels)} labels"
        )
