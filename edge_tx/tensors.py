"""Names, types and shapes of a graph's inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_tx.errors import FeedMismatch
from edge_tx.specs import DType, TensorSpec

__all__ = ["Array", "DType", "TensorSpec", "check_feeds"]

# npt.NDArray[Any] by its own words: importing numpy.typing takes 2 ms, and every process would.
Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]


def check_feeds(specs: Sequence[TensorSpec], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Checks arrays against a graph's inputs and converts them where that loses nothing.

    Integer arrays are converted between integer types when every value fits. Everything
    else must already have the right type.

    Args:
        specs: The graph's inputs.
        feeds: Arrays by input name.

    Returns:
        Arrays by input name, in the graph's order, C-contiguous and of the graph's types.

    Raises:
        FeedMismatch: Names, ranks, sizes or types do not fit; lists every problem.
    """
    return _as_they_are(specs, feeds) or _checked(specs, feeds)


def _as_they_are(specs: Sequence[TensorSpec], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays that need nothing done to them, or an empty dict if one does.

    It is on the way of every call, where after the graph's megabytes no code is in a cache, and
    each function that is entered takes microseconds: so it is one.
    """
    ready: dict[str, Array] = {}
    if len(feeds) != len(specs):
        return ready
    sizes: dict[str, int] = {}
    for spec in specs:
        array = feeds.get(spec.name)
        if (
            array.__class__ is not np.ndarray
            or array.dtype is not spec.dtype.numpy
            or not array.flags.c_contiguous
            or len(array.shape) != len(spec.shape)
        ):
            return {}
        for wanted, got in zip(spec.shape, array.shape):  # noqa: B905 - as many, see above
            expected = sizes.setdefault(wanted, got) if wanted.__class__ is str else wanted
            if got != expected or not got:
                return {}
        ready[spec.name] = array
    return ready


def _checked(specs: Sequence[TensorSpec], feeds: Mapping[str, Array]) -> dict[str, Array]:
    problems: list[str] = []
    ready: dict[str, Array] = {}
    sizes: dict[str, int] = {}
    for spec in specs:
        if spec.name not in feeds:
            problems.append(f"'{spec.name}' is missing")
            continue
        array = np.asarray(feeds[spec.name])
        problem = _shape_problem(spec, array.shape, sizes)
        if problem is None:
            array, problem = _converted(spec, array)
        if problem is not None:
            problems.append(problem)
        ready[spec.name] = array
    if len(feeds) > len(ready):
        problems += [f"no input named '{name}'" for name in feeds.keys() - ready.keys()]
    if problems:
        wanted = "; ".join(map(str, specs))
        raise FeedMismatch(f"{'; '.join(sorted(problems))} (the graph takes {wanted})")
    return ready


def _shape_problem(spec: TensorSpec, shape: tuple[int, ...], sizes: dict[str, int]) -> str | None:
    if len(shape) != len(spec.shape):
        return f"'{spec.name}' has shape {shape}, not {len(spec.shape)} dimensions"
    for wanted, got in zip(spec.shape, shape, strict=True):
        expected = sizes.setdefault(wanted, got) if isinstance(wanted, str) else wanted
        if got != expected:
            return f"'{spec.name}' has shape {shape}: {wanted} must be {expected}, not {got}"
        if got == 0:
            return f"'{spec.name}' has shape {shape}: {wanted} is empty"
    return None


def _converted(spec: TensorSpec, array: Array) -> tuple[Array, str | None]:
    dtype = spec.dtype.numpy
    if array.dtype == dtype:
        return array if array.flags.c_contiguous else np.ascontiguousarray(array), None
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        if _fits(array, np.iinfo(dtype)):
            return np.ascontiguousarray(array, dtype=dtype), None
        return array, f"'{spec.name}' holds values outside {dtype}"
    return array, f"'{spec.name}' is {array.dtype}, not {dtype}"


def _fits(array: Array, limits: np.iinfo[Any]) -> bool:
    """Whether integers lie within limits."""
    # Token ids and masks are not negative, and then no value is above the bits of all together:
    # one pass in place of two, on the way of every call.
    together = int(np.bitwise_or.reduce(array, axis=None))
    if 0 <= together <= limits.max:
        return True
    return bool(limits.min <= array.min() and array.max() <= limits.max)
