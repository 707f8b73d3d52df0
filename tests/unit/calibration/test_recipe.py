from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.calibration.recipe import OPTIONS, RECIPES, Method, Observer, Recipe, parse
from edge_tx.calibration.target import TARGETS, target
from edge_tx.device import Cpu, DeviceInfo
from edge_tx.errors import EdgeTxError, InvalidConfig, UnknownName

PATTERNS = st.text("abz.*?[]!_-/0123456789", min_size=1, max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "per_channel": st.booleans(),
    "symmetric": st.booleans(),
    "reduce_range": st.none() | st.booleans(),
    "observer": st.sampled_from(Observer),
    "percentile": st.floats(50, 100),
    "smooth": st.none() | st.floats(0, 1),
    "embeddings": st.booleans(),
    "keep_float": st.lists(PATTERNS, min_size=1, max_size=3).map(tuple),
    "block": st.sampled_from((16, 32, 64, 128, 256)),
}


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    row = RECIPES[draw(st.sampled_from(sorted(RECIPES)))]
    mine = [key for key, option in OPTIONS.items() if option.fits(row)]
    chosen = draw(st.lists(st.sampled_from(mine), unique=True))
    values = {key: draw(VALUES[key]) for key in chosen}
    return Recipe(
        row.method, row.weight_bits, row.activation_bits, **values, given=frozenset(chosen)
    )


@given(recipes())
def test_every_recipe_reads_back_from_its_text(recipe: Recipe) -> None:
    assert parse(str(recipe)) == recipe
    assert str(parse(str(recipe))) == str(recipe)


@given(st.text(max_size=40) | st.text("adeghilmnoprstwy_w0123456789:=,.+", max_size=60))
def test_any_text_is_a_recipe_or_a_one_line_error(text: str) -> None:
    try:
        recipe = parse(text)
    except EdgeTxError as exc:
        assert isinstance(exc, (InvalidConfig, UnknownName))
    else:
        assert parse(str(recipe)) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_the_names_of_the_grammar_are_recipes(name: str) -> None:
    recipe = parse(name)
    assert (recipe.name, str(recipe), recipe.given) == (name, name, frozenset())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("static_w8a8:smooth=2", "smooth must be a number from 0 to 1, or off"),
        ("static_w8a8:smooth=nan", "smooth must be a number"),
        ("static_w8a8:smooth", "has no value: write it as key=value"),
        ("static_w8a8:smooth=1,smooth=1", "option 'smooth' stands twice"),
        ("static_w8a8:observer=median", "observer must be minmax, percentile, entropy, mse"),
        ("static_w8a8:per_channel=yes", "per_channel must be true or false"),
        ("weight_w8:observer=mse", "'weight_w8' has no option 'observer'"),
        ("weight_w8:block=32", "'weight_w8' has no option 'block'"),
        ("weight_w4:block=33", "block must be 16, 32, 64, 128 or 256"),
        ("weight_w4:keep_float=", "keep_float must be patterns"),
        ("static_w8a8:", "unknown option of a recipe ''"),
        ("static_w8a8:smoth=0.5", "did you mean 'smooth'"),
        ("static_w8", "did you mean 'static_w8a8'"),
    ],
)
def test_what_makes_no_sense_is_said(text: str, match: str) -> None:
    with pytest.raises((InvalidConfig, UnknownName), match=match):
        parse(text)


def test_numbers_that_make_no_recipe_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="no static recipe of 4-bit weights and 8-bit"):
        Recipe(Method.STATIC, 4, 8)


def test_a_backends_defaults_yield_to_the_user() -> None:
    plain = parse("static_w8a8").with_defaults(observer=Observer.MSE, smooth=0.5, block=64)
    assert (plain.observer, plain.smooth, plain.block) == (Observer.MSE, 0.5, 32)
    chosen = parse("static_w8a8:observer=minmax,smooth=off")
    assert chosen.with_defaults(observer=Observer.MSE, smooth=0.5) == chosen


def test_patterns_keep_units_in_float() -> None:
    recipe = parse("dynamic_w8:keep_float=*.layer.0.*+classifier")
    kept = [u for u in ("a.layer.0.q", "a.layer.1.q", "classifier") if recipe.keeps(u)]
    assert kept == ["a.layer.0.q", "classifier"]


def device(architecture: str, *sets: str) -> DeviceInfo:
    cpu = Cpu("some", 4, 4, None, sets)
    return DeviceInfo("", architecture, "Linux", "3.11", cpu, 0, None, ())


@pytest.mark.parametrize(
    ("here", "vnni", "dot", "reduce_range"),
    [
        (device("x86_64", "avx2"), False, False, True),
        (device("AMD64", "avx2", "avx512f"), False, False, True),
        (device("x86_64", "avx2", "avx_vnni"), True, True, False),
        (device("x86_64", "avx2", "avx512f", "avx512_vnni"), True, True, False),
        (device("x86_64", "avx2", "amx_int8"), True, True, False),
        (device("arm64", "asimd"), False, False, False),
        (device("aarch64", "asimd", "dotprod"), False, True, False),
        (device("aarch64", "asimd", "i8mm"), False, True, False),
        (device("riscv64"), False, False, False),
    ],
)
def test_the_host_is_what_its_instruction_sets_say(
    here: DeviceInfo, vnni: bool, dot: bool, reduce_range: bool
) -> None:
    found = target("host", here)
    assert found.is_host
    assert (found.vnni, found.dot_products, found.reduce_range) == (vnni, dot, reduce_range)


def test_other_targets_are_named() -> None:
    assert not target("arm64").is_host
    assert [name for name, aim in TARGETS.items() if aim.reduce_range] == ["x86-avx2", "x86-avx512"]
    with pytest.raises(UnknownName, match="did you mean 'arm64-i8mm'"):
        target("arm64-i8m")


def test_recipes_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse("fp16").block = 3  # type: ignore[misc]
