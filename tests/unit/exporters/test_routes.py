"""The tables of routes."""

from __future__ import annotations

import pytest

from edge_tx.errors import InvalidConfig, MissingDependency, UnknownName
from edge_tx.exporters import onnx, routes
from edge_tx.exporters.traced import ExportOptions


def test_names_are_keys() -> None:
    assert all(name == row.name for name, row in routes.ROUTES.items())
    assert all(name == row.model_type for name, row in routes.FAMILIES.items())


def test_families_take_routes_that_exist() -> None:
    assert {row.route for row in routes.FAMILIES.values()} <= routes.ROUTES.keys()


def test_unknown_family_takes_the_default() -> None:
    assert routes.choose("nobody-heard-of").name == routes.DEFAULT


def test_a_route_that_was_asked_for_goes_first() -> None:
    assert routes.choose("bert", "torch-script").name == "torch-script"


def test_unknown_route_says_the_near_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'torch-script'"):
        routes.choose("bert", "torchscript")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (ExportOptions(precision="fp16"), "fp32, not fp16"),
        (ExportOptions(opset=9), "17 to 20, not 9"),
        (ExportOptions(opset=21), "17 to 20, not 21"),
    ],
)
def test_options_it_cannot_honour(options: ExportOptions, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        onnx.check_options(options)


def test_missing_package_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'edge-tx\[export\]'"):
        onnx.check_options(ExportOptions())
