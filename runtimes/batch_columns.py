"""Which columns of a job's rows are the input, and which are carried through to the output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.examples import Layout, layouts
from edge_tx.text import refuse_surrogates

__all__ = ["Columns", "KeptColumn", "resolve"]

# What kept cells of rows without types may be, the narrowest first, with their Arrow types.
_KINDS: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("true or false", (bool,), "bool"),
    ("a whole number of 64 bits", (int,), "int64"),
    ("a number", (int, float), "double"),
    ("a text", (str,), "string"),
)

_ALLOWED = {kind: (words, classes) for words, classes, kind in _KINDS}


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """A column that is carried through.

    Attributes:
        name: Its name.
        kind: Name of its Arrow type; ``"json"`` for a text that holds JSON.
        type: The Arrow type itself, where the input has one.
    """

    name: str
    kind: str
    type: Any = None


@dataclass(frozen=True, slots=True)
class Columns:
    """What is taken of a row.

    Attributes:
        inputs: Columns of the input.
        kept: Columns that are carried through.
        id: The column that names rows in the dead-letter file; empty for none.
        make: The task's input of the cells of ``inputs``.
    """

    inputs: tuple[str, ...]
    kept: tuple[KeptColumn, ...]
    id: str
    make: Callable[[Sequence[Any]], Any]

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns that must be read."""
        return tuple(dict.fromkeys((*self.inputs, *(column.name for column in self.kept))))

    def value(self, cells: Mapping[str, Any]) -> Any:
        """The task's input of a row.

        Raises:
            InvalidInput: A cell is missing, or not what an input is made of.
        """
        for name in self.inputs:
            if cells.get(name) is None:
                raise InvalidInput(f"no {name!r}")
        return self.make([cells[name] for name in self.inputs])

    def carried(self, cells: Mapping[str, Any]) -> list[Any]:
        """The cells that are carried through.

        Raises:
            InvalidInput: A cell is of another type than those at the beginning of the input.
        """
        return [_checked(column, cells.get(column.name)) for column in self.kept]


def resolve(
    task: str,
    beginning: Sequence[Mapping[str, Any]],
    types: Mapping[str, Any],
    *,
    text: str | None,
    text_pair: str | None,
    id_column: str | None,
    keep: Sequence[str],
) -> Columns:
    """Settles the columns of a job by the rows it begins with.

    Args:
        task: Name of the task.
        beginning: Some of the first rows that can be read.
        types: Arrow types by column, where the input has them.
        text: Column of the text; by default one that the task knows by name.
        text_pair: Column of a pair's second text.
        id_column: Column that names rows; carried through.
        keep: Other columns to carry through.

    Raises:
        InvalidConfig: There is no such column; says which there are.
    """
    names = list(types) or list(dict.fromkeys(name for row in beginning for name in row))
    kept = tuple(dict.fromkeys((*([id_column] if id_column else []), *keep)))
    asked = [name for name in (text, text_pair, *kept) if name is not None]
    if names and (absent := [name for name in asked if name not in names]):
        raise InvalidConfig(f"no column '{absent[0]}' in the input; it has {', '.join(names)}")
    if text is None and text_pair is not None:
        raise InvalidConfig("a column of second texts needs one of first texts: name both")
    if text is None:
        inputs, make = _known(task, names)
    else:
        inputs, make = _named(task, [text] if text_pair is None else [text, text_pair])
    columns = tuple(KeptColumn(name, *_type(name, beginning, types)) for name in kept)
    return Columns(inputs, columns, id_column or "", make)


def _named(task: str, names: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    fitting = [layout for layout in _one_input(task) if len(layout.columns) == len(names)]
    if not fitting:
        wanted = ", or ".join(map(str, _one_input(task)))
        raise InvalidConfig(f"'{task}' needs the columns {wanted}; {len(names)} was named")
    return tuple(names), _maker(*fitting)


def _known(task: str, names: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    # Where no row can be read there is nothing to tell columns by, and nothing to answer either.
    names = names or [known[0] for known in _one_input(task)[-1].columns]
    row = dict.fromkeys(names)
    for layout in _one_input(task):
        if layout.fits(row):
            columns = tuple(next(n for n in known if n in row) for known in layout.columns)
            return columns, _maker(layout)
    wanted = ", or ".join(map(str, _one_input(task)))
    raise InvalidConfig(
        f"'{task}' needs the columns {wanted}; the input has {', '.join(names)}: "
        "name the column of the text"
    )


def _one_input(task: str) -> list[Layout]:
    return [layout for layout in layouts(task) if layout.is_one_input]


def _maker(*layouts: Layout) -> Callable[[Sequence[Any]], Any]:
    """Makes inputs by the first layout that takes the cells: a list of words, or a text."""

    def make(cells: Sequence[Any]) -> Any:
        for layout in layouts[:-1]:
            with suppress(InvalidInput):
                return layout.make(cells, "the row")[0][0]
        return layouts[-1].make(cells, "the row")[0][0]

    return make


def _type(
    name: str, beginning: Sequence[Mapping[str, Any]], types: Mapping[str, Any]
) -> tuple[str, Any]:
    if name in types:
        return str(types[name]), types[name]
    values = [row[name] for row in beginning if row.get(name) is not None]
    for _, classes, kind in _KINDS:
        if values and all(type(value) in classes for value in values):
            return kind, None
    return ("json" if values else "string"), None


def _checked(column: KeptColumn, cell: Any) -> Any:
    if isinstance(cell, str):
        refuse_surrogates(cell)
    elif isinstance(cell, (dict, list)) and column.kind == "json":
        refuse_surrogates(json.dumps(cell, ensure_ascii=False))
    if cell is None or column.type is not None or column.kind == "json":
        return cell
    words, classes = _ALLOWED[column.kind]
    if type(cell) not in classes or (type(cell) is int and not -(2**63) <= cell < 2**63):
        raise InvalidInput(
            f"{column.name!r} is not {words}, as in the rows before, but {cell!r:.40}"
        )
    return cell
