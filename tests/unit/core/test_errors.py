"""The error tree: codes, builtin bases, and messages that name the way out."""

from __future__ import annotations

import re

import pytest

from edge_tx import errors
from edge_tx.errors import BundleError, EdgeTxError, MissingDependency, UnknownName

KINDS = [
    kind
    for kind in (getattr(errors, name) for name in errors.__all__)
    if issubclass(kind, EdgeTxError)
]
DRAWN = re.findall(r"^\s*[|`\- ]*(\w+)(?:\((\w+)\))?\s+(\d+)\s", errors.__doc__ or "", re.MULTILINE)


def test_the_drawing_shows_every_error() -> None:
    assert {name for name, _, _ in DRAWN} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(("name", "base", "code"), DRAWN)
def test_the_drawing_is_true(name: str, base: str, code: str) -> None:
    kind = getattr(errors, name)
    assert kind.exit_code == int(code)
    if base:
        assert base in {parent.__name__ for parent in kind.__mro__}


def test_nothing_in_the_module_is_left_out_of_all() -> None:
    there = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert there == set(errors.__all__)


@pytest.mark.parametrize("kind", ["BundleCorrupt", "BundleTooNew", "BundleUnsafe"])
def test_all_that_ails_a_bundle_is_caught_at_once(kind: str) -> None:
    with pytest.raises(BundleError):
        raise getattr(errors, kind)("it is broken")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onx", "unknown backend 'onx'; did you mean 'onnx'? known: onnx, tflite"),
        ("zzz", "unknown backend 'zzz'; known: onnx, tflite"),
    ],
)
def test_unknown_name_suggests_the_near_one(name: str, said: str) -> None:
    assert str(UnknownName("backend", name, ["tflite", "onnx"])) == said


def test_unknown_name_of_nothing_says_none() -> None:
    assert str(UnknownName("graph", "x", [])).endswith("known: none")


def test_missing_dependency_names_the_line_to_type() -> None:
    error = MissingDependency("onnx", "exporting", "pip install onnx")
    assert str(error) == "exporting needs onnx, which is not installed: pip install onnx"
    assert error.install == "pip install onnx"
