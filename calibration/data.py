"""Calibration data: a seeded sample of real inputs, spread over all lengths.

The source is read once and never held: each stratum of lengths keeps a reservoir of its own
(Vitter's algorithm R, https://doi.org/10.1145/3147.3165), so calibrating on a hundred thousand
texts takes the memory of calibrating on a hundred.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from edge_tx.answering import Prepared
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.examples import read_examples
from edge_tx.tensors import Array

if TYPE_CHECKING:
    from edge_tx.tasks import Task
    from edge_tx.text import Row, Tokenizer

__all__ = ["CalibrationSet", "calibration_set"]

LEAST = 8
"""Fewer inputs than this say nothing about a range."""

_MOSTLY = 0.9


@dataclass(frozen=True)
class CalibrationSet:
    """A sample, tokenised.

    Attributes:
        inputs: In the order of their source.
        seen: Inputs that the source had.
        sha256: Of the sample, for the manifest.
        prepared: Its rows.
    """

    inputs: tuple[Any, ...]
    seen: int
    sha256: str
    prepared: Prepared

    def feeds(self) -> Iterator[Mapping[str, Array]]:
        """Starts a stream of feeds of one row each, without padding."""
        return self.prepared.feeds()


def calibration_set(
    source: str | os.PathLike[str] | Iterable[Any],
    task_name: str,
    task: Task,
    tokenizer: Tokenizer,
    *,
    samples: int = 256,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> CalibrationSet:
    """Draws a calibration set.

    Args:
        source: A file (see :func:`edge_tx.records.read`) or an iterable of inputs; both are read
            once, from start to end.
        task_name: Of the model.
        task: Of the model.
        tokenizer: Of the model.
        samples: Most inputs to draw.
        seed: The same source, samples and seed give the same set.
        options: Call options, e.g. the labels of a zero-shot classifier.

    Raises:
        InvalidInput: There are too few inputs, one of them cannot be used, or they look nothing
            like the model's input: nearly all cut off, or made of unknown tokens.
    """
    if samples < LEAST:
        raise InvalidConfig(f"samples must be {LEAST} or more, not {samples}")
    reservoir = _Strata(samples, random.Random(seed))  # noqa: S311 - a sample, not a secret
    examples = read_examples(source, task_name)
    for value in chain.from_iterable(example.inputs for example in examples):
        reservoir.offer(value)
    inputs = reservoir.drawn()
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the calibration data"
    if len(inputs) < LEAST:
        raise InvalidInput(
            f"{name} has {len(inputs)} inputs, and calibration needs {LEAST} or more; 100 to 500 "
            "that look like the real ones are best"
        )
    prepared = Prepared(task, tokenizer, inputs, options or {})
    _refuse_strange(prepared.rows, tokenizer, name)
    return CalibrationSet(inputs, reservoir.seen, _sha256(inputs), prepared)


@dataclass
class _Stratum:
    seen: int = 0
    kept: list[tuple[int, Any]] = field(default_factory=list)


class _Strata:
    """A reservoir for each range of lengths: 1 to 2 characters, 2 to 4, 4 to 8...

    Each keeps as many as are wanted in all, as nobody knows yet what its share will be.
    """

    def __init__(self, wanted: int, rng: random.Random) -> None:
        self.seen = 0
        self._wanted = wanted
        self._rng = rng
        self._strata: dict[int, _Stratum] = {}

    def offer(self, value: Any) -> None:
        stratum = self._strata.setdefault(_length(value).bit_length(), _Stratum())
        entry = (self.seen, value)
        if len(stratum.kept) < self._wanted:
            stratum.kept.append(entry)
        else:
            place = self._rng.randrange(stratum.seen + 1)
            if place < self._wanted:
                stratum.kept[place] = entry
        stratum.seen += 1
        self.seen += 1

    def drawn(self) -> tuple[Any, ...]:
        """Each stratum by its share, and one of each at least while there is room."""
        strata = [self._strata[key] for key in sorted(self._strata)]
        counts = _shares([stratum.seen for stratum in strata], self._wanted)
        drawn = [
            entry
            for stratum, count in zip(strata, counts, strict=True)
            for entry in self._rng.sample(stratum.kept, count)
        ]
        return tuple(value for _, value in sorted(drawn, key=lambda entry: entry[0]))


def _shares(seen: Sequence[int], wanted: int) -> list[int]:
    """Splits a sample over strata by their sizes: largest remainders, after one each."""
    total = sum(seen)
    if total <= wanted:
        return list(seen)
    exact = [wanted * size / total for size in seen]
    counts = [max(1, int(share)) for share in exact]
    by_rest = sorted(range(len(seen)), key=lambda i: (int(exact[i]) - exact[i], i))
    for index in by_rest:
        if sum(counts) < wanted and counts[index] < seen[index]:
            counts[index] += 1
    while sum(counts) > wanted:  # the ones that were given to the rare
        counts[counts.index(max(counts))] -= 1
    return counts


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else sum(map(len, value))


def _sha256(inputs: Sequence[Any]) -> str:
    lines = (json.dumps(value, ensure_ascii=True) for value in inputs)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _refuse_strange(rows: Sequence[Row], tokenizer: Tokenizer, name: str) -> None:
    """Raises InvalidInput for data that cannot be what the model will see."""
    cut = sum(row.truncated > 0 for row in rows)
    if cut > _MOSTLY * len(rows):
        raise InvalidInput(
            f"{cut} of {len(rows)} inputs drawn from {name} are longer than the model's "
            f"{tokenizer.policy.max_length} tokens: give texts of the usual length, not documents"
        )
    unknown = tokenizer.policy.special.get("unk")
    if unknown is None:
        return
    special = set(tokenizer.policy.special.values()) - {unknown}
    tokens = [token for row in rows for token in row.ids if token not in special]
    share = tokens.count(unknown) / max(1, len(tokens))
    if share > _MOSTLY:
        raise InvalidInput(
            f"{share:.0%} of the tokens of {name} are unknown to the model: is it text of the "
            "model's language, in UTF-8?"
        )
