"""Every command and every example of the README runs.

``console`` blocks hold command lines after ``$``, ``python`` blocks programs, ``sh`` blocks what
sets a machine up. They run in the README's order in one folder, where the models that the README
names are prepared: tiny ones, as what is tested is the text and not the models.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_tx.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

MODELS = {
    "sentiment-model": "text-classification",
    "ner-model": "token-classification",
    "qa-model": "question-answering",
    "reranker-model": "text-ranking",
    "nli-model": "zero-shot-classification",
}


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README) if name == language]


def steps() -> Iterator[tuple[str, str]]:
    """Command lines and programs in the README's order."""
    for language, text in BLOCK.findall(README):
        if language == "console":
            lines = text.splitlines()
            assert all(line.startswith("$ edge-tx ") for line in lines), text
            yield from (("command", line.removeprefix("$ edge-tx ")) for line in lines)
        elif language == "python":
            yield "program", text


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Callable[..., Path],
    tiny_sentence_model: Callable[..., Path],
) -> Path:
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(tiny_sentence_model(num_hidden_layers=1))
    for name, task in MODELS.items():
        (tmp_path / name).symlink_to(tiny_model("bert", task, shallow=True))
    (tmp_path / "sentences.txt").symlink_to(ROOT / "examples" / "sentences.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))  # what is tuned is remembered
    return tmp_path


@pytest.mark.export
def test_every_command_and_program_runs(folder: Path, capfd: Any) -> None:
    exported: set[str] = set()
    for kind, text in steps():
        if kind == "program":
            exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
            continue
        words = shlex.split(text)
        if words[0] == "export" and text in exported:
            continue  # the README shows it twice
        exported.add(text)
        code = run(words)
        assert code == 0, f"edge-tx {text}\n{capfd.readouterr().err}"
    assert (folder / "minilm.etx").is_file()


def test_only_languages_that_are_tested() -> None:
    assert {name for name, _ in BLOCK.findall(README)} <= {"console", "python", "sh"}


def test_set_up_lines_name_extras_that_exist() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    for line in lines:
        assert line.startswith("pip install ")
        extras = set(re.findall(r"\[([\w,]+)\]", line))
        assert extras <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_and_make_targets_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:\w+=\S+ )?make (\w+)", text))
    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
