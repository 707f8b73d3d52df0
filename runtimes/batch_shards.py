"""Shards: the files that a batch job's output is made of, each there whole or not at all.

A shard is written under another name, synced to disk, renamed, and its folder synced: a kill or
a power cut leaves the old state or the new one. Its bytes depend on its rows alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_tx.errors import UnknownName
from edge_tx.runtimes.batch_columns import KeptColumn
from edge_tx.runtimes.batch_formats import arrow, shown
from edge_tx.runtimes.batch_outputs import (
    EMBEDDING_TYPES,
    Field,
    arrow_type,
    fields_of,
    stacked,
)
from edge_tx.swap import sync_folder

__all__ = ["OUTPUTS", "Shard", "ShardFormat", "Table", "place_file", "shard_format", "shard_path"]


@dataclass(slots=True)
class Shard:
    """The rows of one output file, on the way.

    Attributes:
        number: From 0.
        rows: Numbers of the rows that were answered.
        kept: Their cells that are carried through.
        results: Their results.
        bad: Lines for the dead-letter file.
        tokens: Tokens that were read, without those of rows answered before.
        repeated: Rows whose answer was there already.
    """

    number: int
    rows: list[int] = field(default_factory=list)
    kept: list[list[Any]] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """The schema that all shards of a job have.

    Attributes:
        task: Name of the task.
        kept: Columns that are carried through.
        dim: Numbers of a vector, where the task has vectors.
        embedding_type: Key of :data:`EMBEDDING_TYPES`.
        facts: Where the results come from: stamp, graph, source; kept in the files.
    """

    task: str
    kept: tuple[KeptColumn, ...]
    dim: int
    embedding_type: str
    facts: Mapping[str, str]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the results."""
        return fields_of(self.task)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """Names of the kept columns, with ``input_`` before one that a result has too."""
        endings = ("", "_scale")
        taken = {"row", *(f"{column.name}{end}" for column in self.fields for end in endings)}
        own = [column.name for column in self.kept]
        return tuple(_free(name, taken, own) for name in own)


def _free(name: str, taken: Collection[str], own: Sequence[str]) -> str:
    """The name if a result has none like it, else a longer one that no other column has."""
    free = name
    while free in taken or (free != name and free in own):
        free = f"input_{free}"
    return free


@dataclass(frozen=True, slots=True)
class ShardFormat:
    """A format of shards.

    Attributes:
        name: What users write.
        suffix: Of the files.
        write: Writes a shard's bytes.
        needs: Called before anything is computed; raises if a package is missing.
    """

    name: str
    suffix: str
    write: Callable[[Table, Shard, io.BufferedWriter], None]
    needs: Callable[[], object]


def shard_path(folder: Path, number: int, shards: ShardFormat) -> Path:
    """Where a shard is."""
    return folder / f"part-{number:06d}{shards.suffix}"


def shard_format(name: str) -> ShardFormat:
    """Looks a format up.

    Raises:
        UnknownName: There is none of that name.
        MissingDependency: It needs a package that is not installed.
    """
    if name not in OUTPUTS:
        raise UnknownName("output format", name, OUTPUTS)
    OUTPUTS[name].needs()
    return OUTPUTS[name]


@contextlib.contextmanager
def place_file(path: Path) -> Iterator[io.BufferedWriter]:
    """Writes a file so that it is there whole or not at all, whatever happens.

    Yields:
        Where to write. What was at ``path`` is replaced when the block ends well.
    """
    work = path.with_name(f".{path.name}.part")
    try:
        with work.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        work.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            work.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


# ---------------------------------------------------------------------------------- formats


def _write_parquet(table: Table, shard: Shard, file: io.BufferedWriter) -> None:
    pa = arrow("writing Parquet")
    from pyarrow import parquet

    names: list[str] = ["row"]
    arrays: list[Any] = [pa.array(shard.rows, pa.int64())]
    for index, (name, column) in enumerate(zip(table.kept_names, table.kept, strict=True)):
        names.append(name)
        arrays.append(_kept_array(pa, column, [cells[index] for cells in shard.kept]))
    for name, array in _result_arrays(pa, table, shard.results):
        names.append(name)
        arrays.append(array)
    schema = pa.schema(
        [(name, array.type) for name, array in zip(names, arrays, strict=True)],
        metadata={f"edge_tx.{key}": value for key, value in table.facts.items()},
    )
    # Vectors hold nothing that repeats: a dictionary or a packer would only cost time.
    packed = [name for name in names if name != "embedding"]
    parquet.write_table(
        pa.Table.from_arrays(arrays, schema=schema),
        file,
        compression=dict.fromkeys(packed, "zstd") | {"embedding.list.element": "none"},
        use_dictionary=[name for name in packed if pa.types.is_string(schema.field(name).type)],
        row_group_size=max(len(shard.rows), 1),
    )


def _kept_array(pa: Any, column: KeptColumn, cells: Sequence[Any]) -> Any:
    if column.kind == "json" and column.type is None:
        texts = [None if cell is None else _json(cell) for cell in cells]
        return pa.array(texts, pa.string())
    kind = pa.type_for_alias(column.kind) if column.type is None else column.type
    return pa.array(cells, kind)


def _result_arrays(pa: Any, table: Table, results: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for column in table.fields:
        if column.type != "vector":
            values = [column.of(result) for result in results]
            yield column.name, pa.array(values, arrow_type(pa, column.type))
            continue
        vectors, scales = EMBEDDING_TYPES[table.embedding_type](stacked(results, table.dim))
        flat = pa.array(vectors.reshape(-1))
        yield column.name, pa.FixedSizeListArray.from_arrays(flat, table.dim)
        if scales is not None:
            yield f"{column.name}_scale", pa.array(scales)


def _write_json_lines(table: Table, shard: Shard, file: io.BufferedWriter) -> None:
    vectors: list[dict[str, Any]] = [{} for _ in shard.rows]
    if any(column.type == "vector" for column in table.fields):
        vectors = list(_json_vectors(table, shard.results))
    plain = [column for column in table.fields if column.type != "vector"]
    for row, kept, result, vector in zip(
        shard.rows, shard.kept, shard.results, vectors, strict=True
    ):
        record = {"row": row}
        record |= zip(table.kept_names, kept, strict=True)
        record |= vector | {column.name: column.as_json(result) for column in plain}
        file.write(_json(record).encode("utf-8") + b"\n")


def _json(value: Any) -> str:
    """JSON of cells; numbers that it does not know, NaN and the infinities, are null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=shown)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=shown)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_vectors(table: Table, results: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Vectors with as many digits as their type has, not those of the doubles they become."""
    vectors, scales = EMBEDDING_TYPES[table.embedding_type](stacked(results, table.dim))
    digits = {"float32": 9, "float16": 5}.get(table.embedding_type)
    for index, vector in enumerate(vectors):
        numbers = vector.tolist()
        if digits is not None:
            numbers = [float(f"{number:.{digits}g}") for number in numbers]
        scale = {} if scales is None else {"embedding_scale": float(f"{scales[index]:.9g}")}
        yield {"embedding": numbers, **scale}


OUTPUTS: Mapping[str, ShardFormat] = {
    row.name: row
    for row in (
        ShardFormat("parquet", ".parquet", _write_parquet, lambda: arrow("writing Parquet")),
        ShardFormat("jsonl", ".jsonl", _write_json_lines, lambda: None),
    )
}
