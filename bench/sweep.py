"""The syntax of a sweep's axes, and the cells that they span."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_tx.errors import InvalidConfig

__all__ = ["Axes", "Point", "axis", "duration_ns", "size_bytes"]

_MOST = 1_000_000
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:\+(\d+))?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)B?")

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}
_BYTES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}


def axis(name: str, text: str, least: int = 1) -> tuple[int, ...]:
    """The values of an axis: numbers and ranges, with commas between them.

    ``32..256`` doubles from 32 on, up to 256; ``1..8+1`` adds 1. A value is taken once.

    Args:
        name: Of the option, for messages.
        text: What was given, e.g. ``"1,2,4"`` or ``"16..512"``.
        least: Smallest value.

    Raises:
        InvalidConfig: It is no such list, or a value is out of range.
    """
    values: list[int] = []
    for part in filter(None, (word.strip() for word in text.split(","))):
        values += _values(name, part)
    if not values:
        raise InvalidConfig(f"{name}: no values; write e.g. 1,2,4 or 32..256")
    for value in values:
        if not least <= value <= _MOST:
            raise InvalidConfig(f"{name}: {value} is not from {least} to {_MOST:,}")
    return tuple(dict.fromkeys(values))


def _values(name: str, part: str) -> list[int]:
    if part.isascii() and part.isdigit():
        return [int(part[:12])]
    match = _RANGE.fullmatch(part)
    if match is None or not part.isascii():
        raise InvalidConfig(
            f"{name}: '{part[:40]}' is neither a number nor a range such as 32..256 (doubling) or "
            "1..8+1 (adding)"
        )
    first, last = (min(int(word[:12]), _MOST + 1) for word in match.group(1, 2))
    step = int(match.group(3)[:12]) if match.group(3) else None
    if not 1 <= first <= last or step == 0:
        raise InvalidConfig(f"{name}: '{part[:40]}' does not go upwards from 1 or more")
    if step is not None:
        return list(range(first, last + 1, step))[:_MOST]
    values = [first]
    while values[-1] * 2 <= last:
        values.append(values[-1] * 2)
    return values


def duration_ns(name: str, text: str) -> int:
    """A time such as ``90``, ``500ms``, ``30s`` or ``10m``; seconds without a unit.

    Raises:
        InvalidConfig: It is no such time, or none or more than a day.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1][:20]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= 86_400:
        raise InvalidConfig(f"{name}: '{text[:40]}' is no time up to a day; write e.g. 30s or 10m")
    return int(seconds * 1e9)


def size_bytes(name: str, text: str) -> int:
    """A size such as ``512M`` or ``2G``, in decimal units.

    Raises:
        InvalidConfig: It is no such size.
    """
    match = _SIZE.fullmatch(text.strip())
    found = int(float(match[1][:20]) * _BYTES[match[2]]) if match else 0
    if found <= 0:
        raise InvalidConfig(f"{name}: '{text[:40]}' is no size; write e.g. 512M or 2G")
    return found


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of the axes.

    Attributes:
        threads: CPU threads.
        batch: Inputs of a call.
        seq: Tokens of an input; 0 for the inputs as they are.
    """

    threads: int
    batch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Axes:
    """What is swept over.

    Attributes:
        threads: CPU threads; empty for the cores that this process may use.
        batch: Inputs of a call.
        seq: Tokens of an input; 0 for real inputs of mixed lengths.
    """

    threads: tuple[int, ...] = ()
    batch: tuple[int, ...] = (1,)
    seq: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("batch", 1), ("seq", 0)):
            for value in getattr(self, name):
                if value < least:
                    raise InvalidConfig(f"{name} must be {least} or more, not {value}")

    def points(self, usable_threads: int) -> list[Point]:
        """All combinations, in the order given.

        Args:
            usable_threads: What stands for no threads given.
        """
        threads = self.threads or (usable_threads,)
        return [Point(t, b, s) for t in threads for b in self.batch for s in self.seq]
