"""Reports in files: the end of a file's name says how it is to look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_tx.errors import InvalidConfig
from edge_tx.report import Report
from edge_tx.report_formats import SUFFIXES, render

__all__ = ["check_names", "write"]


def check_names(names: Iterable[str]) -> None:
    """Checks, before anything is measured, that reports can be written to these files.

    Raises:
        InvalidConfig: A name ends in nothing known, or its folder is not there.
    """
    for name in names:
        path = Path(name)
        if path.suffix not in SUFFIXES:
            raise InvalidConfig(f"{name}: a report's name ends in {', '.join(SUFFIXES)}")
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
            raise InvalidConfig(f"{name}: {what}")


def write(report: Report, names: Iterable[str]) -> Iterator[str]:
    """Writes a report to files, each whole or not at all.

    Yields:
        The name of each, when it is written.

    Raises:
        InvalidConfig: A file cannot be written.
    """
    for name in names:
        try:
            text = render(report, SUFFIXES[Path(name).suffix])
            _replace(Path(name), text)
        except OSError as exc:
            raise InvalidConfig(f"{name} cannot be written: {exc.strerror}") from exc
        yield name


def _replace(path: Path, text: str) -> None:
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        work.write_text(text, encoding="utf-8")
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)
