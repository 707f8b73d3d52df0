"""The Java class over JNI, compiled here, against golden answers and against bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples

GSON = Path("/usr/share/java/gson.jar")
MAIN = "io.edgetx.example.Conformance"


@pytest.fixture(scope="module")
def program(built: Callable[[str], Path], text_in: dict[str, Path]) -> list[str]:
    for tool in ("java", "javac"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: install a JDK of 17 or newer")
    if not GSON.exists():
        pytest.skip("no Gson: apt install libgoogle-gson-java")
    folder = built("java")
    classes = f"{folder / 'edge-tx-example.jar'}:{GSON}"
    return ["java", f"-Djava.library.path={folder}", "-cp", classes, MAIN]


@pytest.mark.parametrize("name", ["embedding", "classifier"])
def test_it_conforms(
    name: str, program: list[str], text_in: dict[str, Path], passes_exam: Callable[..., int]
) -> None:
    assert passes_exam(text_in[name], *program, text_in[name]) > 5


def test_bad_questions_are_told_and_emoji_are_not_broken(
    program: list[str], text_in: dict[str, Path], asked: Callable[..., Any]
) -> None:
    lines = ["nonsense", '{"text": 5}', '{"text": "a", "pair": "b"}', '{"text": "fine 👍🏽"}']
    done = asked([*program, str(text_in["embedding"])], "\n".join(lines).encode())
    *bad, good = map(json.loads, done.stdout.splitlines())
    assert [bool(answer["error"]) for answer in bad] == [True] * 3
    assert good["ids"][0] == 101
    assert len(good["outputs"]["sentence_embedding"]) == 384


def test_a_damaged_folder_is_an_exception(
    program: list[str],
    text_in: dict[str, Path],
    copied: Callable[..., Path],
    asked: Callable[..., Any],
) -> None:
    folder = copied(text_in["embedding"])
    (folder / "model.xml").write_bytes(b"<net/>")
    done = asked([*program, str(folder)])
    assert done.returncode == 8
    assert len(done.stderr.splitlines()) == 1
    assert b"sha256" in done.stderr
