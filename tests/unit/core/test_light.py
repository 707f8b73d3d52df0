from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.light import dataclass


def described(make: Any, base: type[Any]) -> type[Any]:
    """The same class, made by the standard decorator or by ours."""

    @make(frozen=True, slots=True)
    class Point(base):  # type: ignore[misc]
        """A point."""

        kind: ClassVar[str] = "point"
        x: int
        y: int = 2
        notes: dict[str, int] = field(default_factory=dict)

        def __post_init__(self) -> None:
            if self.x == 13:
                raise ValueError("unlucky")

    return Point


@dataclass(frozen=True, slots=True)
class Base:
    """With defaults only, so that it can be built upon."""

    x: int = 0


@dataclass(frozen=True, slots=True)
class Deep(Base):
    """One more field."""

    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Unlike:
    """Equal to itself only."""

    x: int


OURS: Any = described(dataclass, object)
STANDARD: Any = described(dataclasses.dataclass, object)


@given(
    st.lists(st.integers(11, 14), max_size=4),
    st.dictionaries(st.sampled_from(["x", "y", "notes", "z"]), st.integers(11, 14)),
)
def test_takes_and_refuses_what_a_standard_dataclass_does(
    args: list[int], named: dict[str, int]
) -> None:
    def made(cls: type[Any]) -> object:
        try:
            return asdict(cls(*args, **named))
        except (TypeError, ValueError) as exc:
            return type(exc)

    assert made(OURS) == made(STANDARD)


def test_is_a_dataclass_to_all_of_the_module() -> None:
    assert is_dataclass(described(dataclass, object))
    point = OURS(1)
    assert [f.name for f in fields(OURS)] == ["x", "y", "notes"]
    assert asdict(point) == {"x": 1, "y": 2, "notes": {}}
    assert replace(point, y=3) == OURS(1, 3)
    assert repr(point) == repr(STANDARD(1))
    assert OURS.__match_args__ == STANDARD.__match_args__


def test_defaults_that_are_made_are_made_for_each() -> None:
    assert OURS(1).notes is not OURS(1).notes


@pytest.mark.parametrize("name", ["x", "other"])
def test_is_frozen(name: str) -> None:
    point = OURS(1)
    with pytest.raises(FrozenInstanceError, match=name):
        setattr(point, name, 2)
    with pytest.raises(FrozenInstanceError, match=name):
        delattr(point, name)
    assert not hasattr(point, "__dict__")


def test_errors_name_the_class_and_the_field() -> None:
    with pytest.raises(TypeError, match=r"Deep: 'z' is not one of its fields"):
        Deep(z=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Deep: 'x' is given twice"):
        Deep(1, x=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"Deep takes 2 values, but 3 were given"):
        Deep(1, (), 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Unlike: 'x' is missing"):
        Unlike()  # type: ignore[call-arg]


def test_is_compared_and_hashed_by_its_fields_if_at_all() -> None:
    assert Deep(1, (2,)) == Deep(1, (2,)) != Deep(1, (3,))
    assert len({Deep(1, (2,)), Deep(1, (2,)), Deep(1)}) == 2
    assert Base(1) != Deep(1)
    one = Unlike(1)
    assert one == one != Unlike(1)
    assert len({one, Unlike(1)}) == 2


@pytest.mark.parametrize(
    "remade", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_is_copied_and_pickled(remade: Any) -> None:
    assert remade(Deep(1, (2,))) == Deep(1, (2,))


def test_shows_its_signature() -> None:
    assert str(inspect.signature(Deep)) == "(x: 'int' = 0, y: 'tuple[int, ...]' = ())"
    assert str(inspect.signature(Unlike)) == "(x: 'int')"


def test_keeps_a_method_of_the_class_itself() -> None:
    @dataclass(frozen=True, slots=True)
    class Secret:
        """Not shown."""

        key: str

        def __repr__(self) -> str:
            return "Secret"

    assert repr(Secret("x")) == "Secret"


def test_can_be_nothing_but_frozen_with_slots() -> None:
    with pytest.raises(TypeError, match="frozen"):
        dataclass(frozen=False, slots=True)
