"""What was done already, in one file that is replaced after every step.

A run that is killed at any moment leaves the journal of the steps before; the same command goes
on after them. The journal also says what the steps were done with: where that differs, nothing
of it is used. What only decides which steps there are may differ: what both runs name must agree,
and what one of them alone names is added.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_tx import swap
from edge_tx.errors import InvalidConfig
from edge_tx.strict_json import Reader, dumps, encode, loads
from edge_tx.tuning import Measurement

__all__ = ["Journal", "Made", "Record", "Timed", "alone"]

_NAME = "journal.json"
_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Made:
    """What came of making something: a smaller model, or a graph.

    Attributes:
        score: The metric; None if it was not measured.
        whole: What the whole model reaches in the metric.
        size_bytes: Of a graph's files.
        problem: Why there is nothing; empty if all went well.
        over: Whether that was the accuracy gate.
    """

    score: float | None = None
    whole: float | None = None
    size_bytes: int = 0
    problem: str = ""
    over: bool = False

    @property
    def drop(self) -> float | None:
        """By how much the metric is below the whole model's."""
        if self.score is None or self.whole is None:
            return None
        return self.whole - self.score


@dataclass(frozen=True, slots=True)
class Timed:
    """A graph's measurement, and that of the reference graph in the same minute.

    Attributes:
        graph: The graph's.
        reference: The whole model's fp32 graph, measured in turns with it.
    """

    graph: Measurement
    reference: Measurement


@dataclass(frozen=True, slots=True)
class Record:
    """The journal's contents.

    Attributes:
        settings: All that the steps depend on, in words, by name.
        made: By step.
        timed: By step and graph.
        seconds: That were spent on finished steps.
        schema: Version of this format.
    """

    settings: Mapping[str, str]
    made: Mapping[str, Made] = field(default_factory=dict)
    timed: Mapping[str, Timed] = field(default_factory=dict)
    seconds: float = 0.0
    schema: int = _SCHEMA


class Journal:
    """The journal of a work folder, read and written.

    Args:
        folder: Made if it is not there.
        settings: All that the steps depend on, in words, by name; what an earlier run named, too,
            must be as it was.

    Raises:
        InvalidConfig: The folder holds something else, or a run with other settings.
        BundleError: It cannot be read or written.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._path = folder / _NAME
        self._record = self._opened(dict(settings))

    @property
    def made(self) -> Mapping[str, Made]:
        """What was made, by step."""
        return self._record.made

    @property
    def timed(self) -> Mapping[str, Timed]:
        """What was measured, by step and graph."""
        return self._record.timed

    @property
    def seconds(self) -> float:
        """That were spent on finished steps, all runs together."""
        return self._record.seconds

    def add_made(self, step: str, made: Made, seconds: float) -> None:
        """Remembers a step.

        Raises:
            BundleError: It cannot be written.
        """
        self._write(made={**self.made, step: made}, seconds=self.seconds + seconds)

    def add_timed(self, timed: Mapping[str, Timed], seconds: float) -> None:
        """Remembers measurements, by step and graph.

        Raises:
            BundleError: It cannot be written.
        """
        self._write(timed={**self.timed, **timed}, seconds=self.seconds + seconds)

    def _opened(self, settings: Mapping[str, str]) -> Record:
        fresh = Record(settings)
        with swap.io_errors(f"write {self.folder}"):
            if self._path.exists():
                return self._same(self._path.read_bytes(), settings)
            if self.folder.exists() and not _is_empty(self.folder):
                raise InvalidConfig(
                    f"{self.folder} is there already and holds no journal of edge-tx optimize: "
                    "name another folder with work"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
        self._record = fresh
        self._write()
        return fresh

    def _same(self, data: bytes, settings: Mapping[str, str]) -> Record:
        again = f"remove {self.folder} to start again"
        try:
            found = Reader(_NAME, InvalidConfig).read(Record, loads(data, _NAME, InvalidConfig))
        except InvalidConfig as exc:
            raise InvalidConfig(f"{self._path} cannot be read ({exc}): {again}") from exc
        known = found.settings
        differing = [
            f"{name}: {known[name]} there, {settings[name]} here"
            for name in sorted({*known} & {*settings})
            if known[name] != settings[name]
        ]
        if differing or found.schema != _SCHEMA:
            told = "; ".join(differing) or "another version of edge_tx"
            raise InvalidConfig(
                f"{self.folder} holds a run with other settings ({told}): go on with those, "
                f"{again}, or name another folder with work"
            )
        return replace(found, settings={**known, **settings})

    def _write(self, **changes: object) -> None:
        self._record = replace(self._record, **changes)  # type: ignore[arg-type]
        with swap.io_errors(f"write {self._path}"):
            new = self.folder / f"{_NAME}.{os.getpid()}.tmp"
            with new.open("wb") as file:
                file.write(dumps(encode(self._record), indent=1))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)


def _is_empty(folder: Path) -> bool:
    """But for a journal that a killed run had only begun to write."""
    return folder.is_dir() and all(path.suffix == ".tmp" for path in folder.iterdir())


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a work folder; the lock goes with the process, however it ends.

    Raises:
        InvalidConfig: Another run is at work there.
    """
    with swap.held(folder) as mine:
        if not mine:
            raise InvalidConfig(f"another run is at work in {folder}: wait for it")
        yield
