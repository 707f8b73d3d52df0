"""Frozen dataclasses whose classes are made in a tenth of the time.

:func:`dataclasses.dataclass` writes the source of up to seven methods for each class and compiles
it, which takes 0.5 to 1.8 ms, and every process that opens a bundle makes these classes before it
answers. Here the methods are functions that all classes share. What :mod:`dataclasses` offers
works with them: ``fields``, ``replace``, ``asdict``, ``field``, ``__post_init__``.

It is for classes on the way from a process's start to its first answer of which few instances
are made: the standard one's are made twice as fast.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen, slots, eq=True):
        """As :func:`dataclasses.dataclass`, which type checkers take it for.

        Args:
            frozen: True.
            slots: True.
            eq: Whether instances of equal fields are equal, and hashed by their fields.
        """
        if not (frozen and slots):
            raise TypeError("a light dataclass is frozen and has slots")
        methods = _METHODS | _COMPARING if eq else _METHODS

        def make(cls):
            for name, method in methods.items():
                if name not in vars(cls):
                    setattr(cls, name, method)
            return dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)

        return make


def _init(self: Any, *args: Any, **given: Any) -> None:
    names = self.__match_args__
    if len(args) > len(names):
        raise TypeError(f"{_name(self)} takes {len(names)} values, but {len(args)} were given")
    put = object.__setattr__
    for name, value in zip(names, args):  # noqa: B905 - the rest is named or has a default
        put(self, name, value)
    for name in names[len(args) :]:
        put(self, name, given.pop(name) if name in given else _default(self, name))
    for name in given:
        problem = "is given twice" if name in names else "is not one of its fields"
        raise TypeError(f"{_name(self)}: '{name}' {problem}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _default(self: Any, name: str) -> Any:
    field = self.__dataclass_fields__[name]
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise TypeError(f"{_name(self)}: '{name}' is missing")


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{_name(self)}({shown})"


def _refuse_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field '{name}'")


def _refuse_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field '{name}'")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _restore(self: Any, values: tuple[Any, ...]) -> None:
    for name, value in zip(self.__match_args__, values, strict=True):
        object.__setattr__(self, name, value)


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _name(self: Any) -> str:
    return type(self).__qualname__


class _Signature:
    """What :func:`inspect.signature` and ``help`` show of a class, made when they ask."""

    def __get__(self, instance: object, cls: type[Any]) -> Any:
        from inspect import Parameter, Signature

        return Signature(
            [
                Parameter(
                    field.name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if _required(field) else _default(cls, field.name),
                    annotation=field.type,
                )
                for field in dataclasses.fields(cls)
            ]
        )


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _values,
    "__setstate__": _restore,
    "__signature__": _Signature(),
}
_COMPARING = {"__eq__": _eq, "__hash__": _hash}
