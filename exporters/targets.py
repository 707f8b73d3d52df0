"""What an export is to make: graphs of backends, in precisions, with what their exporters take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_tx.backends import Backend, find, resolve
from edge_tx.errors import FailedTarget, InvalidConfig, MissingDependency, UnknownName
from edge_tx.exporters.traced import ExportOptions

__all__ = ["AUTO", "Plan", "Target", "plan"]

#: Buckets that are chosen by the lengths of the user's own texts.
AUTO = "auto"

_DEFAULT = "fp32"
_BUCKET = re.compile(r"(\d{1,9})x(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Target:
    """One graph to make.

    Attributes:
        row: Its backend.
        options: What its exporter is told.
    """

    row: Backend
    options: ExportOptions

    @property
    def name(self) -> str:
        """Of the graph: ``"openvino-fp16"``."""
        return f"{self.row.name}-{self.options.precision}"

    @property
    def prover(self) -> Backend:
        """The backend whose session holds the graph against the reference."""
        return find(self.row.proven_by) if self.row.proven_by else self.row


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export is to make.

    Attributes:
        targets: What can be tried here.
        failures: What cannot, as a package is not installed.
        by_lengths: Whether exporters are told the lengths of the user's own texts.
        longest: Tokens of the largest bucket; 0 without buckets.
    """

    targets: tuple[Target, ...]
    failures: tuple[FailedTarget, ...]
    by_lengths: bool
    longest: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of all graphs, those that cannot be made here first."""
        return (*(f.name for f in self.failures), *(t.name for t in self.targets))

    def max_length(self, wanted: int | None) -> int | None:
        """Most tokens of a row: a row longer than every bucket could not run.

        Args:
            wanted: By the user; None for the checkpoint's own limit.

        Raises:
            InvalidConfig: A bucket is longer than what was wanted.
        """
        if not self.longest:
            return wanted
        if wanted is not None and self.longest > wanted:
            raise InvalidConfig(
                f"a bucket has {self.longest} tokens, but the max_length is {wanted}: "
                f"give buckets of up to {wanted} tokens"
            )
        return self.longest


def plan(
    to: str | Sequence[str],
    precision: str | Sequence[str] = (),
    *,
    route: str = "",
    opset: int = 0,
    buckets: str | Sequence[tuple[int, int]] = (),
) -> Plan:
    """Works out the graphs to make, and checks all that can be checked without the checkpoint.

    Args:
        to: Names of backends, each with a precision of its own if it has one: ``"openvino"``,
            ``"openvino:fp16"``. In one text, with commas between them, or several.
        precision: For backends without one of their own: each is exported in those that it has.
        route: Passed on to the exporters that take one.
        opset: Likewise.
        buckets: Likewise: ``(batch, tokens)`` of each, or ``"1x32,8x64"``, or ``"auto"``.

    Raises:
        UnknownName: No such backend, precision or route.
        InvalidConfig: An option makes no sense, or no exporter among them takes it.
    """
    shapes = _buckets(buckets)
    given: dict[str, Any] = {"route": route, "opset": opset, "buckets": shapes}
    wanted = [
        Target(row, _taken(row, chosen, given))
        for row, chosen in _pairs(_words(to), _words(precision))
    ]
    _check_names([target.name for target in wanted])
    _check_taken([t.row for t in wanted], [*(n for n, v in given.items() if v), *_auto(buckets)])
    missing = {target: _missing(target) for target in wanted}
    return Plan(
        targets=tuple(target for target, error in missing.items() if error is None),
        failures=tuple(FailedTarget(t.name, error) for t, error in missing.items() if error),
        by_lengths=buckets == AUTO,
        longest=max((tokens for _, tokens in shapes), default=0),
    )


def _words(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def _pairs(to: Sequence[str], precisions: Sequence[str]) -> Iterator[tuple[Backend, str]]:
    """Each backend with each precision that is wanted of it."""
    if not to:
        raise InvalidConfig("nothing to export to: name at least one backend")
    for word in to:
        name, _, own = word.partition(":")
        row = find(name)
        if not row.exporter:
            raise InvalidConfig(f"backend '{row.name}' has no exporter")
        chosen = [own] if own else [p for p in precisions or [_DEFAULT] if p in row.exports]
        for precision in chosen or precisions:
            if precision not in row.exports:
                raise UnknownName(f"precision of {row.name}", precision, row.exports)
            yield row, precision


def _taken(row: Backend, precision: str, given: dict[str, Any]) -> ExportOptions:
    mine = {name: value for name, value in given.items() if name in row.takes}
    return ExportOptions(precision=precision, **mine)


def _auto(buckets: str | Sequence[tuple[int, int]]) -> list[str]:
    return ["buckets"] if buckets == AUTO else []


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidConfig(f"a graph is named twice: {', '.join(twice)}")


def _check_taken(rows: Sequence[Backend], given: Sequence[str]) -> None:
    """An option that nobody heeds would be dropped without a word."""
    for name in given:
        if not any(name in row.takes for row in rows):
            raise InvalidConfig(f"{name}: no exporter to {_listed(rows)} takes it")


def _listed(rows: Sequence[Backend]) -> str:
    return ", ".join(dict.fromkeys(row.name for row in rows))


def _missing(target: Target) -> MissingDependency | None:
    """What is not installed; raises whatever else its exporter finds wrong with the options."""
    prover = target.prover
    if prover.module is None:
        return prover.absent(f"checking {target.row.name} graphs")
    try:
        resolve(f"{target.row.exporter.partition(':')[0]}:check_options")(target.options)
    except MissingDependency as exc:
        return exc
    return None


def _buckets(given: str | Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    if given == AUTO:
        return ()
    if not isinstance(given, str):
        return tuple((batch, tokens) for batch, tokens in given)
    found = []
    for word in _words(given):
        match = _BUCKET.fullmatch(word)
        if match is None:
            raise InvalidConfig(
                f"bucket '{word}' is not ROWSxTOKENS: write e.g. 1x32,1x128,8x64, or {AUTO}"
            )
        found.append((int(match[1]), int(match[2])))
    return tuple(found)
