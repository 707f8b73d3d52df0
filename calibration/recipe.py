"""Recipes: what becomes of the numbers in a graph, written as one short text.

The grammar::

    recipe  = name [":" option {"," option}]
    name    = "dynamic_w8" | "static_w8a8" | "static_w8a16" | "weight_w8" | "weight_w4" | "fp16"
    option  = key "=" value
    value   = "true" | "false" | "auto" | number | observer | pattern {"+" pattern}

``static_w8a8:observer=percentile,smooth=0.5`` is a static recipe with two options of the user's
own. Every other option is the backend's to choose, as what is best differs between vendors.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from edge_tx.errors import InvalidConfig, UnknownName

__all__ = ["OPTIONS", "RECIPES", "Method", "Observer", "Option", "Recipe", "RecipeRow", "parse"]


class Method(str, enum.Enum):
    """What is quantised, and when the ranges of activations are found."""

    DYNAMIC = "dynamic"
    """Weights ahead of time, activations anew in every call."""
    STATIC = "static"
    """Weights and activations ahead of time, activations from calibration data."""
    WEIGHT = "weight"
    """Weights only; computed in float."""
    FP16 = "fp16"
    """Everything in half precision."""


class Observer(str, enum.Enum):
    """How the range of an activation is chosen from its values on calibration data."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MSE = "mse"


@dataclass(frozen=True, slots=True)
class RecipeRow:
    """One name of the grammar.

    Attributes:
        name: What users write.
        method: Its method.
        weight_bits: Of a weight.
        activation_bits: Of an activation; 32 for float.
        about: What it is good for, in words.
    """

    name: str
    method: Method
    weight_bits: int
    activation_bits: int
    about: str


RECIPES: Mapping[str, RecipeRow] = {
    row.name: row
    for row in (
        RecipeRow(
            "dynamic_w8",
            Method.DYNAMIC,
            8,
            8,
            "int8 weights, activations quantised in each call; needs no data",
        ),
        RecipeRow(
            "static_w8a8",
            Method.STATIC,
            8,
            8,
            "int8 weights and activations, ranges from your data; fastest where int8 is",
        ),
        RecipeRow(
            "static_w8a16",
            Method.STATIC,
            8,
            16,
            "int8 weights, int16 activations; more accurate, fewer devices",
        ),
        RecipeRow(
            "weight_w8",
            Method.WEIGHT,
            8,
            32,
            "int8 weights, float arithmetic: a quarter of the size",
        ),
        RecipeRow(
            "weight_w4",
            Method.WEIGHT,
            4,
            32,
            "4-bit weights in blocks, float arithmetic: an eighth of the size",
        ),
        RecipeRow(
            "fp16", Method.FP16, 16, 32, "half precision: half of the size, for GPUs and NPUs"
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of a graph's numbers. Checked when it is made.

    Attributes:
        method: What is quantised, and when.
        weight_bits: 8 or 4; 16 for fp16.
        activation_bits: 8 or 16; 32 where activations stay in float.
        per_channel: One scale for each output channel of a weight, rather than one for all.
        symmetric: Whether the range of activations is centred on zero.
        reduce_range: Whether weights use 7 of their 8 bits; None for what the target needs.
        observer: How the ranges of activations are chosen.
        percentile: Of the absolute values, for the observer of that name.
        smooth: SmoothQuant's alpha (https://arxiv.org/abs/2211.10438), 0 to 1; None for none.
        embeddings: Whether the token embedding is quantised too, weight-only.
        keep_float: fnmatch patterns over a graph's units that stay in float.
        block: Weights that share a scale in a 4-bit recipe.
        given: Names of the options that the user chose; the others are defaults which a backend
            may know better (:meth:`with_defaults`).

    Raises:
        InvalidConfig: The numbers make no recipe, or an option does not fit the method.
    """

    method: Method
    weight_bits: int = 8
    activation_bits: int = 32
    per_channel: bool = True
    symmetric: bool = False
    reduce_range: bool | None = None
    observer: Observer = Observer.MINMAX
    percentile: float = 99.99
    smooth: float | None = None
    embeddings: bool = True
    keep_float: tuple[str, ...] = ()
    block: int = 32
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        row = self._row()
        changed = {key for key in OPTIONS if getattr(self, key) != _DEFAULTS[key]}
        object.__setattr__(self, "given", self.given | changed)
        for key in sorted(self.given):
            if key not in OPTIONS:
                raise UnknownName("option of a recipe", key, OPTIONS)
            option = OPTIONS[key]
            if not option.fits(row):
                raise InvalidConfig(f"'{row.name}' has no option '{key}': leave it out")
            if not option.accepts(getattr(self, key)):
                raise InvalidConfig(f"{key} must be {option.takes}, not {getattr(self, key)!r}")

    @property
    def name(self) -> str:
        """Its name in the grammar, without options."""
        return self._row().name

    def __str__(self) -> str:
        written = [
            f"{k}={o.write(getattr(self, k))}" for k, o in OPTIONS.items() if k in self.given
        ]
        return self.name + (":" + ",".join(written) if written else "")

    def keeps(self, unit: str) -> bool:
        """Whether a unit stays in float by one of the patterns."""
        return any(fnmatchcase(unit, pattern) for pattern in self.keep_float)

    def with_defaults(self, **values: Any) -> Recipe:
        """The same recipe with a backend's defaults where the user chose nothing.

        Args:
            **values: By option; those that the method does not have are left out.
        """
        row = self._row()
        ours = {k: v for k, v in values.items() if k not in self.given and OPTIONS[k].fits(row)}
        return replace(self, **ours)

    def _row(self) -> RecipeRow:
        mine = (self.method, self.weight_bits, self.activation_bits)
        for row in RECIPES.values():
            if (row.method, row.weight_bits, row.activation_bits) == mine:
                return row
        raise InvalidConfig(
            f"there is no {self.method.value} recipe of {self.weight_bits}-bit weights and "
            f"{self.activation_bits}-bit activations; there are {', '.join(RECIPES)}"
        )


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the grammar.

    Attributes:
        takes: Its values, in words.
        read: Makes a value of a text; raises ValueError.
        write: Makes the text of a value.
        accepts: Whether a value is right.
        methods: Those that have it.
        bits: Weight bits that have it.
        about: What it does, in words.
    """

    takes: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    accepts: Callable[[Any], bool]
    methods: tuple[Method, ...]
    about: str
    bits: tuple[int, ...] = (4, 8, 16)

    def fits(self, row: RecipeRow) -> bool:
        """Whether a recipe of this name has the option."""
        return row.method in self.methods and row.weight_bits in self.bits


def _written(value: bool | None) -> str:
    return {True: "true", False: "false", None: "auto"}[value]


def _is_number(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and low <= value <= high


def _is_pattern(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value.isprintable()
        and not set(value) & set(",+ ")
        and bool(value)
    )


_INTS = (Method.DYNAMIC, Method.STATIC)
_WEIGHTS = (*_INTS, Method.WEIGHT)


def _switch_option(methods: tuple[Method, ...], about: str) -> Option:
    return Option(
        takes="true or false",
        read=lambda text: {"true": True, "false": False}[text],
        write=_written,
        accepts=lambda value: isinstance(value, bool),
        methods=methods,
        about=about,
    )


OPTIONS: Mapping[str, Option] = {
    "per_channel": _switch_option(_WEIGHTS, "one scale for each output channel of a weight"),
    "symmetric": _switch_option(_INTS, "ranges of activations centred on zero"),
    "reduce_range": Option(
        takes="true, false or auto",
        read=lambda text: {"auto": None, "true": True, "false": False}[text],
        write=_written,
        accepts=lambda value: value is None or isinstance(value, bool),
        methods=_INTS,
        about="7-bit weights, where 8-bit products saturate; auto asks the target",
    ),
    "observer": Option(
        takes=", ".join(o.value for o in Observer),
        read=Observer,
        write=lambda value: str(value.value),
        accepts=lambda value: isinstance(value, Observer),
        methods=(Method.STATIC,),
        about="how ranges of activations are chosen",
    ),
    "percentile": Option(
        takes="a number from 50 to 100",
        read=float,
        write=lambda value: repr(float(value)),
        accepts=lambda value: _is_number(value, 50, 100),
        methods=(Method.STATIC,),
        about="share of the values inside the range, for observer=percentile",
    ),
    "smooth": Option(
        takes="a number from 0 to 1, or off",
        read=lambda text: None if text == "off" else float(text),
        write=lambda value: "off" if value is None else repr(float(value)),
        accepts=lambda value: value is None or _is_number(value, 0, 1),
        methods=_INTS,
        about="SmoothQuant: how much of the activations' outliers moves into the weights",
    ),
    "embeddings": _switch_option(_WEIGHTS, "quantise the token embedding too, weight-only"),
    "keep_float": Option(
        takes="patterns of units with + between them, e.g. *.layer.0.*+classifier",
        read=lambda text: tuple(text.split("+")),
        write="+".join,
        accepts=lambda value: isinstance(value, tuple) and all(map(_is_pattern, value)),
        methods=tuple(Method),
        about="units that stay in float",
    ),
    "block": Option(
        takes="16, 32, 64, 128 or 256",
        read=int,
        write=str,
        accepts=lambda value: type(value) is int and value in (16, 32, 64, 128, 256),
        methods=(Method.WEIGHT,),
        bits=(4,),
        about="weights that share a scale",
    ),
}

_DEFAULTS = {field.name: field.default for field in fields(Recipe)}


def parse(text: str | Recipe) -> Recipe:
    """Reads a recipe; ``str(parse(text))`` is its canonical text.

    Raises:
        UnknownName: No such recipe, or no such option.
        InvalidConfig: An option's value makes no sense, or stands twice.
    """
    if isinstance(text, Recipe):
        return text
    name, colon, rest = text.strip().partition(":")
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    row = RECIPES[name]
    values: dict[str, Any] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in OPTIONS:
            raise UnknownName("option of a recipe", key, OPTIONS)
        if not equals or key in values:
            problem = "stands twice" if key in values else "has no value: write it as key=value"
            raise InvalidConfig(f"recipe '{text}': option '{key}' {problem}")
        values[key] = _value(key, value)
    return Recipe(
        row.method, row.weight_bits, row.activation_bits, **values, given=frozenset(values)
    )


def _value(key: str, text: str) -> Any:
    option = OPTIONS[key]
    try:
        return option.read(text)
    except (ValueError, KeyError) as exc:
        raise InvalidConfig(f"{key} must be {option.takes}, not {text!r}") from exc
