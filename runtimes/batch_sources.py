"""Inputs of a batch job: files of rows, streamed, with what is wrong said by row.

A broken row does not stop the reading: it comes out with its problem, and the next one follows.
A broken file does: a torn gzip file, a CSV file without a head.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.runtimes.batch_formats import FORMATS, Format, format_of, opened, reading

__all__ = ["STDIN", "InputFile", "Source", "SourceRow", "find"]

STDIN = "-"
_BLOCK = 1 << 20


class SourceRow(NamedTuple):
    """One row of the inputs.

    Attributes:
        number: Of the row, from 0 over all files.
        file: Name of its file.
        line: Its line, or its row where there are no lines; from 1.
        values: Cells by column.
        problem: Why it cannot be used; empty if it can.
    """

    number: int
    file: str
    line: int
    values: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, told apart from others by what it holds.

    Attributes:
        name: Without its folder, so that moving the data changes nothing.
        size: Bytes.
        sha256: Of its bytes; of stdin, which cannot be read twice, there is none.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a job, in the order they are read.

    Attributes:
        paths: Where they are; ``-`` is stdin.
        formats: Of each.
    """

    paths: tuple[str, ...]
    formats: tuple[Format, ...]

    @property
    def is_stdin(self) -> bool:
        """Whether the rows can be read only once."""
        return STDIN in self.paths

    def identify(self) -> tuple[tuple[InputFile, ...], int | None]:
        """Reads every file once, whole: what it is, and how many rows there are.

        Returns:
            The files; and the rows, None where only reading them tells. Of lines it is an
            estimate, good enough for a progress bar.
        """
        if self.is_stdin:
            return (InputFile(STDIN, 0, ""),), None
        seen = [_identified(Path(path)) for path in self.paths]
        counts = [
            kind.count(path, lines)
            for path, kind, (_, lines) in zip(self.paths, self.formats, seen, strict=True)
        ]
        known = [count for count in counts if count is not None]
        return tuple(f for f, _ in seen), sum(known) if len(known) == len(counts) else None

    def types(self) -> dict[str, Any]:
        """Arrow types of the columns, where the first file says them; else nothing."""
        if self.is_stdin:
            return {}
        with reading(self.paths[0]):
            return self.formats[0].types(self.paths[0])

    def agree(self, types: Mapping[str, Any]) -> None:
        """Checks that all files have columns of one type, as one table of the output must.

        Args:
            types: Arrow types by column, of the first file.

        Raises:
            InvalidInput: A later file has another type; says which.
        """
        first = Path(self.paths[0]).name
        for path, kind in zip(self.paths[1:], self.formats[1:], strict=True):
            with reading(path):
                own = kind.types(path)
            for name, wanted in types.items():
                found = own.get(name, wanted) if own else "of no type"
                if found != wanted:
                    raise InvalidInput(
                        f"column '{name}' is {found} in {Path(path).name}, and {wanted} in "
                        f"{first}: write both alike, or do not keep it"
                    )

    def rows(self, start: int = 0, columns: Sequence[str] | None = None) -> Iterator[SourceRow]:
        """The rows.

        Args:
            start: Rows to leave out at the beginning.
            columns: Columns that are wanted; all if None.

        Raises:
            InvalidInput: A file cannot be read any further.
            MissingDependency: A format needs pyarrow.
        """
        numbered = enumerate(self._all(columns))
        for number, (file, line, cells) in islice(numbered, start, None):
            if isinstance(cells, str):
                yield SourceRow(number, file, line, {}, cells)
            else:
                yield SourceRow(number, file, line, cells)

    def _all(self, columns: Sequence[str] | None) -> Iterator[tuple[str, int, Any]]:
        for path, kind in zip(self.paths, self.formats, strict=True):
            name = "stdin" if path == STDIN else Path(path).name
            with reading(name), _stream(path) as stream:
                for line, cells in kind.read(stream, columns):
                    yield name, line, cells


def find(
    where: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    kind: str,
    output: Path | None = None,
) -> Source:
    """Finds the files of a job.

    Args:
        where: A file, a folder (all files below whose format is known), a pattern such as
            ``"logs/*.jsonl.gz"``, ``"-"`` for stdin, or a list of these.
        kind: A key of :data:`FORMATS`, or ``"auto"`` for the format by the file's name.
        output: The job's folder for the output; what is in it is no input, should it lie
            below a folder of the input.

    Raises:
        InvalidInput: There is no such file.
        UnknownName: There is no such format.
        InvalidConfig: Stdin without a format, or beside files.
    """
    if kind != "auto" and kind not in FORMATS:
        raise UnknownName("input format", kind, ("auto", *FORMATS))
    places = [where] if isinstance(where, (str, os.PathLike)) else where
    paths = [path for place in places for path in _expanded(os.fspath(place), output)]
    if STDIN in paths and len(paths) > 1:
        raise InvalidConfig("stdin goes alone: write it to a file to read it beside others")
    if STDIN in paths and kind == "auto":
        raise InvalidConfig("stdin has no name to tell its format by: give an input format")
    formats = [FORMATS[kind] if kind != "auto" else format_of(path) for path in paths]
    return Source(tuple(paths), tuple(formats))


def _expanded(where: str, output: Path | None) -> list[str]:
    if where == STDIN or Path(where).is_file():
        return [where]
    if Path(where).is_dir():
        found = [str(p) for p in sorted(Path(where).rglob("*")) if _is_data(p, Path(where))]
    else:
        matches = glob.glob(where, recursive=True)  # noqa: PTH207 - Path's takes no absolute ones
        found = sorted(path for path in matches if Path(path).is_file())
    if output is not None:
        found = [path for path in found if output.resolve() not in Path(path).resolve().parents]
    if not found:
        raise InvalidInput(f"no input at {where}: no such file, folder or pattern with files in it")
    return found


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file of a folder is read: names in ``.`` and ``_`` are for marks and journals."""
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden and format_of(path.name).suffixes != ()


def _stream(path: str) -> AbstractContextManager[IO[bytes]]:
    # Who opened stdin closes it.
    return nullcontext(sys.stdin.buffer) if path == STDIN else opened(path)


def _identified(path: Path) -> tuple[InputFile, int]:
    """A file's identity, and how many lines it would have if it were text."""
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with reading(str(path)), path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            lines += block.count(b"\n")
            last = block[-1:]
    size = path.stat().st_size
    return InputFile(path.name, size, digest.hexdigest()), lines + (last != b"\n")
