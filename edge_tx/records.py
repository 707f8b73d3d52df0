"""Rows of files, one at a time: text lines, JSON lines, CSV and Parquet.

Reading is streamed: a file of a hundred thousand rows takes no more memory than one of a
hundred. What is wrong with a row is said with its line.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import InvalidInput, MissingDependency

__all__ = ["FORMATS", "Record", "cells_by_row", "comma_separated", "read", "records"]

_PARQUET_ROWS = 256
# Characters of a CSV cell. Python's own limit is 131,072, which a long document passes; with none
# a quote that is never closed would take the rest of the file into memory.
_CELL = 1 << 24


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file.

    Attributes:
        value: A text; a list; or values by column.
        place: Where it stands, for messages: ``"dev.jsonl, line 3"``.
    """

    value: Any
    place: str


def records(source: str | os.PathLike[str] | Iterable[Any]) -> Iterator[Record]:
    """The rows of a file, or the values of an iterable.

    Raises:
        InvalidInput: The file cannot be read, or a row of it is broken.
        MissingDependency: Reading Parquet needs pyarrow.
    """
    if isinstance(source, (str, os.PathLike)):
        yield from read(source)
        return
    for number, value in enumerate(source, 1):
        yield Record(value, f"input {number}")


def read(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The rows of a file, by the ending of its name; ``.gz`` after it is unpacked on the way.

    Args:
        path: ``.jsonl``, ``.ndjson`` and ``.json`` are one JSON value a line, ``.csv`` and
            ``.tsv`` have a head of column names, ``.parquet`` is Parquet, and everything else
            is one text a line. Blank lines are skipped.

    Raises:
        InvalidInput: The file cannot be read, or a row of it is broken.
        MissingDependency: Reading Parquet needs pyarrow.
    """
    file = Path(path)
    suffixes = [suffix.lower() for suffix in file.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    try:
        yield from FORMATS.get(kind[0] if kind else "", _texts)(file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
        raise InvalidInput(f"{file} is not a whole gzip file: {exc}") from exc
    except OSError as exc:
        raise InvalidInput(f"cannot read {file}: {exc.strerror or exc}") from exc


def _lines(file: Path) -> Iterator[tuple[str, int]]:
    r"""Lines with their numbers; only ``\n`` ends one, as texts may hold other separators."""
    with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield _decoded(line, number, file), number


def _decoded(line: bytes, number: int, file: Path) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput(
            f"{file}, line {number} is not UTF-8 (byte 0x{line[exc.start]:02x} at "
            f"{exc.start + 1}): convert it first, e.g. iconv -f latin1 -t utf-8"
        ) from exc


def _texts(file: Path) -> Iterator[Record]:
    for line, number in _lines(file):
        if line.strip():
            yield Record(line.rstrip("\r\n"), f"{file}, line {number}")


def _json_lines(file: Path) -> Iterator[Record]:
    for line, number in _lines(file):
        if line.strip():
            place = f"{file}, line {number}"
            try:
                yield Record(json.loads(line), place)
            except (ValueError, RecursionError) as exc:
                raise InvalidInput(f"{place} is not JSON: {exc}") from exc


def comma_separated(lines: Iterable[str], delimiter: str = ",") -> Any:
    """A strict :func:`csv.reader` that takes cells of up to 16 million characters.

    The limit is Python's, of the whole process; it is raised where it is lower, and stays.
    """
    if csv.field_size_limit() < _CELL:
        csv.field_size_limit(_CELL)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _comma_separated(file: Path) -> Iterator[Record]:
    return _delimited(file, ",")


def _tab_separated(file: Path) -> Iterator[Record]:
    return _delimited(file, "\t")


def _delimited(file: Path, delimiter: str) -> Iterator[Record]:
    lines = comma_separated((line for line, _ in _lines(file)), delimiter)
    head: list[str] | None = None
    try:
        for cells in lines:
            place = f"{file}, line {lines.line_num}"
            if head is None:
                head = _head(cells, place)
            elif cells:
                yield Record(_row(head, cells, place), place)
    except csv.Error as exc:
        raise InvalidInput(f"{file}, line {lines.line_num} is not CSV: {exc}") from exc


def _head(cells: list[str], place: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not all(names) or len(set(names)) < len(names):
        raise InvalidInput(f"{place} must name every column once, not {', '.join(names)!r}")
    return names


def _row(head: list[str], cells: list[str], place: str) -> dict[str, str]:
    if len(cells) != len(head):
        raise InvalidInput(f"{place} has {len(cells)} cells where the head has {len(head)}")
    return dict(zip(head, cells, strict=True))


def _parquet(file: Path) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as exc:
        install = "pip install 'edge-tx[batch]'"
        raise MissingDependency("pyarrow", "reading Parquet", install) from exc
    number = 0
    try:
        # A closed file frees its buffers at once; batches keep the memory below a row group's.
        with ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS):
                for row in cells_by_row(batch):
                    number += 1
                    yield Record(row, f"{file}, row {number}")
    except ArrowException as exc:
        raise InvalidInput(f"{file} is not Parquet: {exc}") from exc
    except (ValueError, OverflowError) as exc:  # text that is not UTF-8, a date of the year 10000
        after = f"{file}, after row {number}" if number else str(file)
        raise InvalidInput(f"{after}: a cell that Python has no value for: {exc}") from exc


def cells_by_row(batch: Any) -> list[dict[str, Any]]:
    """Python's values of an Arrow record batch, by column for each row.

    Times in nanoseconds, for which Python has none, stay Arrow's.

    Raises:
        ValueError: Python has no value for a cell; :class:`UnicodeDecodeError` if it is a text.
        OverflowError: So is a date.
    """
    names, columns = batch.schema.names, [_cells_of(column) for column in batch.columns]
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _cells_of(column: Any) -> list[Any]:
    if "[ns" in str(column.type):
        return [scalar if scalar.is_valid else None for scalar in column]
    values: list[Any] = column.to_pylist()
    return values


FORMATS: Mapping[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _comma_separated,
    ".tsv": _tab_separated,
    ".parquet": _parquet,
}
