"""From a folder to passages: the pieces of text that are embedded and found."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Passage", "passages_of", "text_files"]

SUFFIXES = frozenset({".txt", ".md", ".rst"})
LARGEST_FILE = 5_000_000
"""Bytes; a larger one is a log or a dump rather than a text to read."""

LEAST, MOST = 200, 400
"""Characters: shorter paragraphs are joined, longer ones are cut between words. MiniLM reads 256
tokens, and a passage about one thing is found better than one about many."""

_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a file.

    Attributes:
        file: Path from the folder, with forward slashes.
        line: Its first line, counted from 1.
        text: What it says.
    """

    file: str
    line: int
    text: str


def text_files(folder: Path) -> list[Path]:
    """The text files of a folder and its subfolders, sorted; hidden and huge ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and path.stat().st_size <= LARGEST_FILE
    )


def passages_of(file: str, text: str) -> list[Passage]:
    """Cuts a text into passages of about one thought each."""
    joined: list[tuple[int, str]] = []
    for line, paragraph in _paragraphs(text):
        if joined and len(joined[-1][1]) < LEAST and len(joined[-1][1]) + len(paragraph) <= MOST:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]}\n{paragraph}")
        else:
            joined.append((line, paragraph))
    return [
        Passage(file, line, piece)
        for line, paragraph in joined
        for piece in (textwrap.wrap(paragraph, MOST) if len(paragraph) > MOST else [paragraph])
    ]


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    line, seen = 1, 0
    for match in _PARAGRAPH.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        yield line, match.group().strip()
