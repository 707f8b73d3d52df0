"""What recipes are written with: their names, their options, and what each of those takes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["OPTIONS", "RECIPES", "Method", "Observer", "Option", "RecipeRow"]


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
