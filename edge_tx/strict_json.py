"""Frozen dataclasses to JSON and back.

One small codec, driven by the type hints of the records. Reading is strict: a key that is
unknown, missing or written twice, a value of another type, NaN, infinity, a number too large
for 64 bits or a text that is not valid Unicode is an error which names its place, such as
``manifest.json: graphs[1].files[0].size: expected a whole number, got 'x'``. Only declared
fields become attributes.
"""

from __future__ import annotations

import enum
import json
import math
import re
import reprlib
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edge_tx.errors import BundleCorrupt, EdgeTxError, InvalidConfig

__all__ = ["Reader", "Rule", "dumps", "encode", "loads"]

T = TypeVar("T")

Fail = Callable[..., NoReturn]
"""``fail(field, problem, error=None)``: raises, with the place of the field in the message."""

Rule = Callable[[Any, Fail], None]
"""Checks of a record that its types cannot say."""


def loads(data: bytes, name: str, error: type[EdgeTxError] = BundleCorrupt) -> Any:
    """Parses JSON, refusing what the JSON standard leaves open.

    Args:
        data: UTF-8.
        name: Name of the file, for messages.
        error: What to raise.

    Raises:
        EdgeTxError: Of the given class: not UTF-8, not JSON, a key twice, NaN, too deep.
    """
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except UnicodeDecodeError as exc:
        raise error(f"{name}: not UTF-8 at byte {exc.start}") from exc
    except RecursionError as exc:
        raise error(f"{name}: nested too deeply") from exc
    except ValueError as exc:  # JSONDecodeError, and integers of thousands of digits
        raise error(f"{name}: not valid JSON: {' '.join(str(exc).split())}") from exc


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Writes JSON as UTF-8 with a final newline; the same value always gives the same bytes."""
    separators = None if indent else (",", ":")
    text = json.dumps(
        value, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8") + b"\n"


def encode(value: Any) -> Any:
    """Makes plain JSON values of records, tuples, mappings and enums."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


class Reader:
    """Makes records of plain JSON values.

    Args:
        name: Name of the file, for messages.
        error: What to raise.
        rules: Checks by class of record, run as soon as a record is complete.
    """

    def __init__(
        self,
        name: str,
        error: type[EdgeTxError] = BundleCorrupt,
        rules: Mapping[type, Rule] | None = None,
    ) -> None:
        self.name = name
        self.error = error
        self.rules = rules or {}

    def read(self, cls: type[T], value: Any) -> T:
        """Makes a record.

        Raises:
            EdgeTxError: Of this reader's class, or what a rule raises.
        """
        try:
            return cast(T, self._any(cls, value, ""))
        except RecursionError as exc:
            raise self.error(f"{self.name}: nested too deeply") from exc

    def fail(self, where: str, problem: str, error: type[EdgeTxError] | None = None) -> NoReturn:
        """Raises, with the place in front of the problem."""
        place = f"{self.name}: {where}: " if where else f"{self.name}: "
        raise (error or self.error)(place + problem)

    def _any(self, hint: Any, value: Any, where: str) -> Any:
        if is_dataclass(hint):
            return self._record(hint, value, where)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enum(hint, value, where)
        if hint is Any:
            return self._plain(value, where)
        if hint in _SCALARS:
            return self._scalar(hint, value, where)
        return _GENERICS[get_origin(hint)](self, get_args(hint), value, where)

    def _record(self, cls: Any, value: Any, where: str) -> Any:
        given = self._object(value, where)
        hints = _hints(cls)
        for key in given:
            if key not in hints:
                self.fail(where, f"unknown key {_shown(key)}")
        for key in hints:
            if key not in given:
                self.fail(where, f"key '{key}' is missing")
        try:
            record = cls(**{k: self._any(h, given[k], _under(where, k)) for k, h in hints.items()})
        except InvalidConfig as exc:
            self.fail(where, str(exc))
        rule = self.rules.get(cls)
        if rule is not None:
            rule(record, lambda field, *rest: self.fail(_under(where, field), *rest))
        return record

    def _enum(self, cls: type[enum.Enum], value: Any, where: str) -> enum.Enum:
        for member in cls:
            if type(value) is type(member.value) and value == member.value:
                return member
        known = ", ".join(str(member.value) for member in cls)
        return self.fail(where, f"expected one of {known}; got {_shown(value)}")

    def _scalar(self, hint: type, value: Any, where: str) -> Any:
        expected, accepts = _SCALARS[hint]
        if not accepts(value):
            self.fail(where, f"expected {expected}, got {_shown(value)}")
        return float(value) if hint is float else value

    def _plain(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {
                self._scalar(str, key, where): self._plain(item, f"{where}[{_shown(key)}]")
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return self._union(tuple(_SCALARS), value, where)

    def _tuple(self, args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            self.fail(where, f"expected a list, got {_shown(value)}")
        return tuple(self._any(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))

    def _mapping(self, args: tuple[Any, ...], value: Any, where: str) -> Mapping[str, Any]:
        return {
            self._scalar(str, key, where): self._any(args[1], item, f"{where}[{_shown(key)}]")
            for key, item in self._object(value, where).items()
        }

    def _union(self, args: tuple[Any, ...], value: Any, where: str) -> Any:
        for hint in args:
            if hint in _SCALARS and _SCALARS[hint][1](value):
                return value
        records = [hint for hint in args if hint not in _SCALARS]
        if records and isinstance(value, dict):
            return self._any(records[0], value, where)
        expected = " or ".join(_SCALARS[h][0] if h in _SCALARS else "an object" for h in args)
        return self.fail(where, f"expected {expected}, got {_shown(value)}")

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(where, f"expected an object, got {_shown(value)}")
        return value


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not _SURROGATE.search(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


_SCALARS: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("a text", _is_text),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", _is_whole),
    float: ("a number", _is_number),
    types.NoneType: ("null", lambda value: value is None),
}

_GENERICS: Mapping[Any, Callable[[Reader, tuple[Any, ...], Any, str], Any]] = {
    tuple: Reader._tuple,
    Mapping: Reader._mapping,
    types.UnionType: Reader._union,
    Union: Reader._union,
}


@cache
def _hints(cls: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {_shown(next(k for k in found if keys.count(k) > 1))} stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _under(where: str, field: str) -> str:
    return f"{where}.{field}" if where and field else where or field


def _shown(value: Any) -> str:
    return reprlib.repr(value)
