"""Formats that rows are read from: text, JSON lines, CSV, Parquet and Arrow, packed or not.

A reader gives ``(line, cells)`` for each row; ``cells`` is a mapping, or a text that says what is
wrong with the row. Lines are read by hand rather than by Arrow's readers, which give up a whole
block for one bad line.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from edge_tx.errors import InvalidInput, MissingDependency
from edge_tx.records import cells_by_row, comma_separated

__all__ = ["FORMATS", "PACKINGS", "Format", "arrow", "format_of", "opened", "reading", "shown"]

Cells = dict[str, Any] | str
Columns = Sequence[str] | None
Reader = Callable[[IO[bytes], Columns], Iterator[tuple[int, Cells]]]

# Rows of a table that are turned into Python values at a time.
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write rows.

    Attributes:
        name: What users write.
        suffixes: Endings of file names.
        read: Reads rows of an open file.
        count: Rows of a file, of its path and its lines; None if only reading tells.
        types: Arrow types by column of a file that has them.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Reader
    count: Callable[[str, int], int | None]
    types: Callable[[str], dict[str, Any]] = lambda _path: {}


def arrow(purpose: str) -> Any:
    """The package pyarrow.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        import pyarrow
    except ImportError as exc:
        raise MissingDependency("pyarrow", purpose, "pip install 'edge-tx[batch]'") from exc
    return pyarrow


def format_of(path: str) -> Format:
    """The format that a file's name tells: plain text if it tells none."""
    name = Path(path).name.lower()
    for ending in PACKINGS:
        name = name.removesuffix(ending)
    suffix = Path(name).suffix
    known = (row for row in FORMATS.values() if suffix in row.suffixes)
    return next(known, _PLAIN)


def opened(path: str) -> IO[bytes]:
    """Opens a file, and unpacks it on the way if its name says that it is packed."""
    for ending, unpack in PACKINGS.items():
        if path.lower().endswith(ending):
            stream: IO[bytes] = unpack(path)
            return stream
    return Path(path).open("rb")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns whatever a broken file raises into one line of ours."""
    try:
        yield
    except InvalidInput as exc:
        raise InvalidInput(f"{name}: {exc}") from exc
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as exc:
        raise InvalidInput(f"{name} is not a whole packed file: {exc}") from exc
    except OSError as exc:
        raise InvalidInput(f"cannot read {name}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        if type(exc).__module__.partition(".")[0] != "pyarrow":
            raise
        raise InvalidInput(f"cannot read {name}: {' '.join(str(exc).split())[:200]}") from exc


def _zstandard(path: str) -> IO[bytes]:
    stream = arrow("reading .zst").input_stream(path, compression="zstd")
    return io.BufferedReader(stream)


PACKINGS: Mapping[str, Callable[[str], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstandard,
}


# ------------------------------------------------------------------------------------ lines


def _decoded(lines: Iterable[bytes]) -> Iterator[tuple[int, str, str]]:
    r"""Number, text and problem of each line; only ``\n`` ends one."""
    for number, line in enumerate(lines, 1):
        codec = "utf-8-sig" if number == 1 else "utf-8"
        try:
            yield number, line.decode(codec), ""
        except UnicodeDecodeError as exc:
            place = f"byte 0x{line[exc.start]:02x} at {exc.start + 1}"
            yield number, line.decode(codec, "surrogateescape"), f"not UTF-8 ({place})"


def _texts(stream: IO[bytes], _columns: Columns) -> Iterator[tuple[int, Cells]]:
    for number, line, problem in _decoded(stream):
        yield number, problem or {"text": line.rstrip("\r\n")}


def _json_lines(stream: IO[bytes], _columns: Columns) -> Iterator[tuple[int, Cells]]:
    for number, line, problem in _decoded(stream):
        if line.strip():
            yield number, problem or _record(line)


def _record(line: str) -> Cells:
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        return f"not JSON: {exc}"
    if isinstance(value, str):
        return {"text": value}
    return value if isinstance(value, dict) else f"not a JSON object but a {type(value).__name__}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _delimited(delimiter: str) -> Reader:
    def read(stream: IO[bytes], _columns: Columns) -> Iterator[tuple[int, Cells]]:
        broken: list[str] = []  # of the lines that the row at hand is made of

        def lines() -> Iterator[str]:
            for _, line, problem in _decoded(stream):
                broken.extend([problem] if problem else [])
                yield line

        table = comma_separated(lines(), delimiter)
        head = _head(table)
        while True:
            problem = ""
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error as exc:
                cells, problem = [], f"not CSV: {exc}"
            problem = problem or "".join(broken[:1])
            broken.clear()
            if cells or problem:
                yield table.line_num, problem or _cells(head, cells)

    return read


def _head(table: Any) -> list[str]:
    try:
        names = [cell.strip() for cell in next(table, [])]
    except csv.Error as exc:
        raise InvalidInput(f"the first line is not CSV: {exc}") from exc
    if not names or not all(names) or len(set(names)) < len(names):
        raise InvalidInput(f"the first line must name every column once, not {', '.join(names)!r}")
    return names


def _cells(head: Sequence[str], cells: Sequence[str]) -> Cells:
    if len(cells) != len(head):
        return f"{len(cells)} cells where the head has {len(head)}"
    return dict(zip(head, cells, strict=True))


# ----------------------------------------------------------------------------------- tables


def _parquet(stream: IO[bytes], columns: Columns) -> Iterator[tuple[int, Cells]]:
    arrow("reading Parquet")
    from pyarrow.parquet import ParquetFile

    if not stream.seekable():
        raise InvalidInput("Parquet's table of contents is at its end: give a file, not a pipe")

    with ParquetFile(stream) as table:
        names = _present(table.schema_arrow.names, columns)
        yield from _numbered(table.iter_batches(batch_size=_ROWS, columns=names))


def _arrow(stream: IO[bytes], columns: Columns) -> Iterator[tuple[int, Cells]]:
    """An IPC file, which Feather's second version is, or an IPC stream."""
    pa = arrow("reading Arrow")
    if stream.seekable():
        try:
            file = pa.ipc.open_file(stream)
        except pa.ArrowInvalid:
            stream.seek(0)
        else:
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
            yield from _numbered(_narrowed(batches, columns))
            return
    with pa.ipc.open_stream(stream) as batches:
        yield from _numbered(_narrowed(batches, columns))


def _narrowed(batches: Iterable[Any], columns: Columns) -> Iterator[Any]:
    for batch in batches:
        narrow = batch.select(_present(batch.schema.names, columns))
        for start in range(0, narrow.num_rows, _ROWS):
            yield narrow.slice(start, _ROWS)


def _present(names: Sequence[str], wanted: Columns) -> list[str]:
    return [name for name in names if wanted is None or name in wanted]


def _numbered(batches: Iterable[Any]) -> Iterator[tuple[int, Cells]]:
    number = 0
    for batch in batches:
        for cells in _values(batch):
            number += 1
            yield number, cells


def _values(batch: Any) -> Iterator[Cells]:
    try:
        yield from cells_by_row(batch)
    except (ValueError, OverflowError):  # one bad cell loses its row, not its neighbours
        for index in range(batch.num_rows):
            yield _value(batch.slice(index, 1))


def _value(row: Any) -> Cells:
    try:
        return cells_by_row(row)[0]
    except UnicodeDecodeError as exc:
        return f"not UTF-8 (byte {exc.start + 1})"
    except (ValueError, OverflowError) as exc:  # a date of the year 10000, say
        return f"a cell that Python has no value for: {exc}"


def shown(cell: Any) -> str:
    """A cell for which JSON has no form, in words."""
    if not hasattr(cell, "cast"):
        return str(cell)
    from pyarrow import string

    return str(cell.cast(string()).as_py())


def _parquet_rows(path: str, _lines: int) -> int:
    arrow("reading Parquet")
    from pyarrow.parquet import read_metadata

    with reading(path):
        return int(read_metadata(path).num_rows)


def _parquet_types(path: str) -> dict[str, Any]:
    arrow("reading Parquet")
    from pyarrow.parquet import read_schema

    schema = read_schema(path)
    return dict(zip(schema.names, schema.types, strict=True))


def _arrow_types(path: str) -> dict[str, Any]:
    pa = arrow("reading Arrow")
    with opened(path) as stream:
        try:
            schema = pa.ipc.open_file(stream).schema
        except pa.ArrowInvalid:
            stream.seek(0)
            schema = pa.ipc.open_stream(stream).schema
    return dict(zip(schema.names, schema.types, strict=True))


def _unknown(_path: str, _lines: int) -> None:
    return None


def _by_lines(path: str, lines: int) -> int | None:
    return None if path.lower().endswith(tuple(PACKINGS)) else lines


def _below_a_head(path: str, lines: int) -> int | None:
    return None if path.lower().endswith(tuple(PACKINGS)) else max(lines - 1, 0)


FORMATS: Mapping[str, Format] = {
    row.name: row
    for row in (
        Format("text", (".txt", ".text"), _texts, _by_lines),
        Format("jsonl", (".jsonl", ".ndjson", ".json"), _json_lines, _by_lines),
        Format("csv", (".csv",), _delimited(","), _below_a_head),
        Format("tsv", (".tsv",), _delimited("\t"), _below_a_head),
        Format("parquet", (".parquet", ".pq"), _parquet, _parquet_rows, _parquet_types),
        Format("arrow", (".arrow", ".feather", ".arrows", ".ipc"), _arrow, _unknown, _arrow_types),
    )
}
# A file whose name tells nothing.
_PLAIN = Format("text", (), _texts, _by_lines)
