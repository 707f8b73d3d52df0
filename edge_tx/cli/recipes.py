"""``edge-tx recipes``: the table of recipes, their options, and who can do them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli.screen import Screen, grid, output_options

if TYPE_CHECKING:
    from edge_tx.calibration.recipe import RecipeRow


@click.command("recipes")
@output_options
def command(screen: Screen) -> None:
    """List the ways to quantise a graph, and their options.

    A recipe is its name, and after a colon options of your own:
    static_w8a8:observer=percentile,smooth=0.5
    """
    from edge_tx.calibration.recipe import OPTIONS, RECIPES

    does = {row.name: _backends_of(row) for row in RECIPES.values()}
    options = [
        (
            key,
            option.takes,
            option.about,
            [row.name for row in RECIPES.values() if option.fits(row)],
        )
        for key, option in OPTIONS.items()
    ]
    record = {
        "recipes": [
            {"name": row.name, "about": row.about, "backends": does[row.name]}
            for row in RECIPES.values()
        ],
        "options": [
            {"name": key, "takes": takes, "about": about, "recipes": recipes}
            for key, takes, about, recipes in options
        ],
    }
    recipe_lines = [(r.name, r.about, ", ".join(does[r.name])) for r in RECIPES.values()]
    option_lines = [(key, about, takes) for key, takes, about, _ in options]
    screen.result(
        record,
        grid(("recipe", "what it does", "backends"), recipe_lines),
        "",
        grid(("option", "what it does", "takes"), option_lines),
    )


def _backends_of(row: RecipeRow) -> list[str]:
    """Names of the backends that can do a recipe, whether or not their tools are installed."""
    from edge_tx import backends
    from edge_tx.calibration import quantizer
    from edge_tx.calibration.recipe import parse
    from edge_tx.errors import InvalidConfig, MissingDependency

    able = []
    for vendor in backends.known().values():
        if vendor.hidden or not vendor.quantizer:
            continue
        try:
            quantizer.find(vendor).check(parse(row.name))
        except InvalidConfig:
            continue
        except MissingDependency:  # it could, were its tool here
            pass
        able.append(vendor.name)
    return able
