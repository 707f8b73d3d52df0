from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx import manifest_json
from edge_tx.bundle import Bundle
from edge_tx.errors import BundleCorrupt, BundleError, BundleTooNew, BundleUnsafe

Change = Callable[[Any], object]


@pytest.fixture
def valid(bundle: Bundle) -> Any:
    return json.loads((bundle.root / "manifest.json").read_bytes())


def _read(value: Any) -> Any:
    return manifest_json.read(json.dumps(value).encode())


def test_what_is_written_is_read_back_equal_and_in_the_same_bytes(bundle: Bundle) -> None:
    data = manifest_json.write(bundle.manifest)
    assert manifest_json.read(data) == bundle.manifest
    assert manifest_json.write(manifest_json.read(data)) == data
    assert (bundle.root / "manifest.json").read_bytes() == data


def _set(*path: Any, to: Any) -> Change:
    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_set("colour", to=1), BundleCorrupt, "unknown key 'colour'"),
        (_set("graphs", 0, "__class__", to=1), BundleCorrupt, "graphs[0]: unknown key"),
        (lambda m: m.pop("task"), BundleCorrupt, "key 'task' is missing"),
        (lambda m: m["graphs"][0].pop("route"), BundleCorrupt, "graphs[0]: key 'route' is missing"),
        (
            _set("graphs", 0, "files", 1, "size", to="x"),
            BundleCorrupt,
            "manifest.json: graphs[0].files[1].size: expected a whole number, got 'x'",
        ),
        (_set("graphs", 0, "files", 0, "size", to=True), BundleCorrupt, "whole number, got True"),
        (_set("graphs", 0, "files", 0, "size", to=2**63), BundleCorrupt, "whole number"),
        (_set("graphs", 0, "files", 0, "size", to=-1), BundleCorrupt, "size: expected 0 or more"),
        (_set("graphs", 0, "files", 0, "sha256", to="AB" * 32), BundleCorrupt, "64 lower-case"),
        (_set("graphs", 0, "inputs", 0, "dtype", to="float8"), BundleCorrupt, "got 'float8'"),
        (_set("graphs", 0, "inputs", 0, "shape", to=["batch", 0]), BundleCorrupt, "shape[1]"),
        (_set("graphs", 0, "inputs", to={}), BundleCorrupt, "expected a list"),
        (_set("graphs", 0, "entry", to="graphs/x"), BundleCorrupt, "not among the graph's files"),
        (_set("graphs", 0, "metrics", to={"a": "b"}), BundleCorrupt, "metrics['a']: expected a nu"),
        (_set("graphs", 0, "parity", "agreement", to=1.5), BundleCorrupt, "share from 0 to 1"),
        (_set("graphs", 0, "name", to="../up"), BundleUnsafe, "graphs[0].name"),
        (_set("graphs", to=[]), BundleCorrupt, "graphs: is empty"),
        (lambda m: m["graphs"].append(m["graphs"][0]), BundleCorrupt, "stands twice"),
        (lambda m: m["files"].append(m["files"][0]), BundleCorrupt, "named twice"),
        (lambda m: m["files"].pop(), BundleCorrupt, "golden.json is missing"),
        (_set("files", 0, "path", to="graphs"), BundleCorrupt, "is a file and a folder"),
        (_set("files", 0, "path", to="manifest.json"), BundleCorrupt, "cannot name itself"),
        (_set("files", 0, "size", to=10**18), BundleUnsafe, "GiB"),
        (_set("settings", "labels", to=["a", "a"]), BundleCorrupt, "label 'a' stands twice"),
        (_set("settings", "labels", to=["a", "b", "c"]), BundleCorrupt, "3 labels, but graphs[0]"),
        (_set("settings", "default_prompt", to="x"), BundleCorrupt, "not among the prompts"),
        (_set("tokenizer", "max_length", to=0), BundleCorrupt, "tokenizer: max_length must be"),
        (_set("tokenizer", "padding_side", to="up"), BundleCorrupt, "tokenizer: padding_side"),
        (_set("task", to="mind-reading"), BundleTooNew, "'mind-reading' is not a task"),
        (_set("task", to="embedding"), BundleTooNew, "'embedding' is not a task"),
        (_set("source", "name", to="\ud800"), BundleCorrupt, "source.name: expected a text"),
        (_set("schema", to=0), BundleCorrupt, "schema"),
        (_set("schema", to=True), BundleCorrupt, "schema"),
        (lambda m: m.pop("schema"), BundleCorrupt, "schema"),
    ],
)
def test_what_is_wrong_is_named(
    valid: Any, change: Change, error: type[BundleError], message: str
) -> None:
    change(valid)
    with pytest.raises(error) as caught:
        _read(valid)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bundles_of_before_open(valid: Any) -> None:
    del valid["source"]["config"], valid["settings"]["include_prompt"]
    manifest = _read(valid)
    assert (manifest.source.config, manifest.settings.include_prompt) == ("", True)


def test_a_newer_schema_is_said_before_anything_else(valid: Any) -> None:
    with pytest.raises(BundleTooNew, match=r"schema 99 was written by edge_tx '7\.0'"):
        _read({"schema": 99, "edge_tx": "7.0", "what": "else"})


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "a/../../b",
        "a//b",
        "./a",
        "a/.",
        "",
        "a/",
        "C:/x",
        "C:x",
        "\\\\host\\share",
        "a\\b",
        "a\0b",
        "a\nb",
        "con",
        "graphs/NUL.txt",
        "a.",
        "a ",
        "x" * 256,
    ],
)
def test_unsafe_paths(valid: Any, path: str) -> None:
    valid["files"].append({"path": path, "size": 1, "sha256": "0" * 64})
    with pytest.raises(BundleUnsafe, match=r"files\[2\]\.path"):
        _read(valid)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"schema": 1, "schema": 1}',
        b'{"schema": NaN}',
        b'{"schema": 1, "x": -Infinity}',
        b'{"schema": 1, "x": 1e999}',
        b'{"schema": ' + b"9" * 10_000 + b"}",
        b"[" * 200_000,
        b'{"schema": 1, "task": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=lambda data: repr(data[:30]),
)
def test_what_is_not_json_enough(data: bytes) -> None:
    with pytest.raises(BundleCorrupt, match=r"manifest\.json") as caught:
        manifest_json.read(data)
    assert "\n" not in str(caught.value)


def test_infinity_by_overflow_is_not_a_number(valid: Any) -> None:
    text = json.dumps(valid).replace("0.999999", "1e999")
    with pytest.raises(BundleCorrupt, match=r"parity\.min_cosine: expected a number"):
        manifest_json.read(text.encode())


def test_a_graph_of_an_unknown_backend_can_be_read(valid: Any) -> None:
    valid["graphs"][0]["backend"] = "from-a-plug-in"
    assert _read(valid).graphs[0].backend == "from-a-plug-in"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_fuzz_arbitrary_bytes_and_json(data: bytes) -> None:
    with pytest.raises(BundleError):
        manifest_json.read(data)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in steps:
        found.append((*path, key))
        if isinstance(item, (dict, list)):
            found += _places(item, (*path, key))
    return found


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_fuzz_mutations_of_a_valid_manifest(valid: Any, data: st.DataObject) -> None:
    value = copy.deepcopy(valid)
    place = data.draw(st.sampled_from(_places(value)))
    _set(*place, to=data.draw(JSON))(value)
    try:
        manifest = _read(value)
    except BundleError as exc:
        assert "\n" not in str(exc)
    else:
        manifest_json.write(manifest)
