"""What a batch job is: settled once, at its beginning, and compared when it is taken up again."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.runtimes.batch_outputs import EMBEDDING_TYPES
from edge_tx.runtimes.batch_sources import InputFile
from edge_tx.strict_json import encode

__all__ = ["Job", "Settings", "check_same", "versions"]

# What the bytes of an output depend on, beside the runtime, whose version the layout has.
_PACKAGES = ("numpy", "pyarrow", "tokenizers")
_MOST_SHARD_ROWS = 1 << 20
_ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may choose, checked.

    Attributes:
        text: Column of the text; None for one that the task knows by name.
        text_pair: Column of a pair's second text.
        id_column: Column that names rows.
        keep: Other columns to carry through.
        input_format: Of the input; ``"auto"`` by the files' names.
        output_format: ``"parquet"`` or ``"jsonl"``.
        embedding_type: ``"float32"``, ``"float16"`` or ``"int8"``.
        shard_rows: Input rows of an output file.
        max_errors: Most bad rows; None for any number.
        max_rss: Most bytes of resident memory; None for no ceiling.
        options: The task's options.
        opening: Options of :func:`edge_tx.load`.
        engine: ``"local"`` or ``"ray"``.
        workers: Processes of a cluster; None for as many as it has room for.
    """

    text: str | None = None
    text_pair: str | None = None
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    input_format: str = "auto"
    output_format: str = "parquet"
    embedding_type: str = "float32"
    shard_rows: int = 8192
    max_errors: int | None = None
    max_rss: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    opening: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "local"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.embedding_type not in EMBEDDING_TYPES:
            raise UnknownName("embedding type", self.embedding_type, EMBEDDING_TYPES)
        if self.engine not in _ENGINES:
            raise UnknownName("engine", self.engine, _ENGINES)
        if not 1 <= self.shard_rows <= _MOST_SHARD_ROWS:
            raise InvalidConfig(
                f"shard_rows must be 1 to {_MOST_SHARD_ROWS}, not {self.shard_rows}"
            )
        if self.max_errors is not None and self.max_errors < 0:
            raise InvalidConfig(f"max_errors must be 0 or more, not {self.max_errors}")
        try:
            json.dumps(encode([self.options, self.opening]), allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise InvalidConfig(f"options must be plain values, to be kept: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Job:
    """All that the output's bytes depend on.

    Attributes:
        bundle: Hash of the bundle's manifest.
        inputs: The files.
        columns: Columns of the input.
        kept: Columns that are carried through, with their types.
        output_format: As of :class:`Settings`, like the following.
        embedding_type: "
        shard_rows: "
        options: "
        opening: "
        versions: Of the packages that take part.
    """

    bundle: str
    inputs: tuple[InputFile, ...]
    columns: tuple[str, ...]
    kept: Mapping[str, str]
    output_format: str
    embedding_type: str
    shard_rows: int
    options: Mapping[str, Any]
    opening: Mapping[str, Any]
    versions: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """As a journal holds it."""
        found: dict[str, Any] = json.loads(json.dumps(encode(self)))
        return found


def check_same(old: Mapping[str, Any], new: Job, folder: object) -> None:
    """Checks that a job is the one that was begun.

    Raises:
        InvalidConfig: It is another one; says in what.
    """
    differ = differences(old, new.plain())
    if differ:
        raise InvalidConfig(
            f"{folder} holds another job's output, which differs in {'; '.join(differ)}: "
            "give the same to go on with it, or another output"
        )


def versions() -> dict[str, str]:
    """Versions of the packages that the output's bytes depend on."""
    import edge_tx

    return {"edge_tx": edge_tx.__version__} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The fields that differ, with both values: ``shard_rows (8192 then, 4096 now)``."""
    found = []
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{name}.{inner}" for inner in differences(one, other)]
        elif isinstance(one, list) and isinstance(other, list):
            found.append(_list_difference(name, one, other))
        else:
            found.append(f"{name} ({_shown(one)} then, {_shown(other)} now)")
    return found


def _list_difference(name: str, one: Sequence[Any], other: Sequence[Any]) -> str:
    if len(one) != len(other):
        return f"{name} ({len(one)} then, {len(other)} now)"
    first, second = next((a, b) for a, b in zip(one, other, strict=True) if a != b)
    if isinstance(first, dict) and isinstance(second, dict):
        inner = differences(first, second)[0]
        return f"{name}: {second.get('name', '')} {inner}"
    return f"{name} ({_shown(first)} then, {_shown(second)} now)"


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else f"{text[:23]}…"
