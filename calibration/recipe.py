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

from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from edge_tx.calibration.recipe_table import (
    OPTIONS,
    RECIPES,
    Method,
    Observer,
    Option,
    RecipeRow,
)
from edge_tx.errors import InvalidConfig, UnknownName

__all__ = ["OPTIONS", "RECIPES", "Method", "Observer", "Option", "Recipe", "RecipeRow", "parse"]


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
