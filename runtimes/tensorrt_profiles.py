"""``profiles.json``: the shapes that a TensorRT engine is built for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_tx.errors import FeedMismatch, SessionFailed
from edge_tx.strict_json import Fail, Reader, Rule, loads

__all__ = ["PROFILES", "Profile", "Profiles", "Span", "choose", "parse", "read"]

PROFILES = "profiles.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Span:
    """A range of sizes.

    Attributes:
        min: Smallest.
        opt: The one that kernels are timed at.
        max: Largest; memory is laid out for it.
    """

    min: int
    opt: int
    max: int

    def holds(self, size: int) -> bool:
        """Whether a size is in the range."""
        return self.min <= size <= self.max


@dataclass(frozen=True, slots=True)
class Profile:
    """One optimisation profile: every input is ``[batch, seq]``.

    Attributes:
        batch: Rows.
        seq: Tokens of a row.
    """

    batch: Span
    seq: Span

    @property
    def tokens(self) -> int:
        """Padded tokens of the largest batch."""
        return self.batch.max * self.seq.max


@dataclass(frozen=True, slots=True)
class Profiles:
    """The file.

    Attributes:
        schema: Version of this format.
        profiles: In the order they have in the engine.
    """

    schema: int
    profiles: tuple[Profile, ...]


def read(path: Path) -> tuple[Profile, ...]:
    """Reads a ``profiles.json``.

    Raises:
        SessionFailed: It is missing or makes no sense; names the place.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SessionFailed(f"cannot read {path}: {exc.strerror or exc}") from exc
    return parse(data)


def parse(data: bytes) -> tuple[Profile, ...]:
    """Reads the contents of a ``profiles.json``.

    Raises:
        SessionFailed: They make no sense; names the place.
    """
    plain = loads(data, PROFILES, SessionFailed)
    return Reader(PROFILES, SessionFailed, _RULES).read(Profiles, plain).profiles


def choose(profiles: Sequence[Profile], batch: int, seq: int) -> tuple[int, int]:
    """Chooses the profile that wastes least for a batch.

    A batch that no profile holds is cut into parts: the profile then is the one that holds the
    most rows of this length.

    Args:
        profiles: There is at least one.
        batch: Rows.
        seq: Tokens of a row, padding included.

    Returns:
        Index of the profile, and rows to run at once.

    Raises:
        FeedMismatch: No profile holds rows of this length.
    """
    long = [i for i, profile in enumerate(profiles) if profile.seq.holds(seq)]
    if not long:
        shortest = min(profile.seq.min for profile in profiles)
        longest = max(profile.seq.max for profile in profiles)
        raise FeedMismatch(
            f"rows of {seq} tokens fit no profile of this engine, which takes {shortest} to "
            f"{longest}: export with other profiles"
        )
    whole = [i for i in long if profiles[i].batch.holds(batch)]
    if whole:
        return min(whole, key=lambda i: profiles[i].tokens), batch
    widest = max(long, key=lambda i: (profiles[i].batch.max, -profiles[i].seq.max))
    return widest, min(batch, profiles[widest].batch.max)


def _span_rule(span: Span, fail: Fail) -> None:
    if not 1 <= span.min <= span.opt <= span.max:
        fail("min", f"expected 1 <= min <= opt <= max, got {span.min}, {span.opt}, {span.max}")


def _batch_rule(profile: Profile, fail: Fail) -> None:
    # A batch may be cut anywhere, so its last part may be of any size.
    if profile.batch.min != 1:
        fail("batch.min", f"expected 1, got {profile.batch.min}")


def _file_rule(file: Profiles, fail: Fail) -> None:
    if file.schema != SCHEMA:
        fail("schema", f"expected {SCHEMA}, got {file.schema}")
    if not file.profiles:
        fail("profiles", "expected at least one")


_RULES: dict[type, Rule] = {Span: _span_rule, Profile: _batch_rule, Profiles: _file_rule}
