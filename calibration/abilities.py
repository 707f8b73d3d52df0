"""What a backend can do of a recipe, told from a table."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from edge_tx.calibration.recipe import OPTIONS, Recipe
from edge_tx.errors import InvalidConfig, MissingDependency

__all__ = ["need", "refuse_others", "row_of"]

_Row = TypeVar("_Row")


def row_of(
    backend: str,
    recipe: Recipe,
    rows: Mapping[str, _Row],
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> _Row:
    """A backend's row of a recipe.

    Args:
        backend: Its name.
        recipe: As the user gave it.
        rows: By the recipes' names.
        reasons: Why others have no row, where that helps, by the recipes' names.

    Raises:
        InvalidConfig: It has none; says what it has.
    """
    if recipe.name not in rows:
        known, why = ", ".join(rows), reasons.get(recipe.name)
        because = f", as {why}" if why else ""
        raise InvalidConfig(f"{backend} has no recipe '{recipe.name}'{because}; it has {known}")
    return rows[recipe.name]


def refuse_others(backend: str, recipe: Recipe, allowed: Mapping[str, Sequence[Any]]) -> None:
    """Holds the options that a user gave against the values that a backend allows.

    Args:
        backend: Its name.
        recipe: As the user gave it.
        allowed: Values by option, where not all are.

    Raises:
        InvalidConfig: One of them is not allowed; says which are.
    """
    for key in sorted(recipe.given & allowed.keys()):
        if getattr(recipe, key) not in allowed[key]:
            choices = " or ".join(OPTIONS[key].write(value) for value in allowed[key])
            raise InvalidConfig(f"{backend} cannot do '{recipe}': its {key} is {choices}")


def need(modules: Sequence[str], purpose: str, install: str) -> None:
    """Checks that modules can be imported, without doing so.

    Args:
        modules: Their names.
        purpose: What they are needed for.
        install: The command line that installs them.

    Raises:
        MissingDependency: One cannot.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingDependency(module, purpose, install)
