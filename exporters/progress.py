"""What a long export tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_tx.errors import EdgeTxError, FailedTarget

__all__ = ["Board", "Progress", "Step", "TargetState"]


@dataclass(frozen=True, slots=True)
class TargetState:
    """How far a graph is.

    Attributes:
        name: Of the graph.
        state: ``"waiting"``, ``"exporting"``, ``"checking"``, ``"proven"`` or ``"failed"``.
        note: Why it failed; empty if it did not.
    """

    name: str
    state: str = "waiting"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What begins.

    Attributes:
        name: What is done, in words: ``"loading the checkpoint"``.
        done: Steps that are over.
        total: Steps in all; at the very end there is one more call with ``done == total``.
        targets: How far each graph is.
    """

    name: str
    done: int
    total: int
    targets: tuple[TargetState, ...]


Progress = Callable[[Step], None]

# Around the targets: loading before, golden answers and writing after.
_BEFORE, _EACH, _AFTER = 1, 2, 2


class Board:
    """Keeps the count and the states, and tells.

    Args:
        tell: Told what begins; None to tell nobody.
        names: Of the graphs, in the order they are made.
        failures: Graphs that failed before anything began.
    """

    def __init__(
        self, tell: Progress | None, names: Sequence[str], failures: Sequence[FailedTarget] = ()
    ) -> None:
        self._tell = tell
        self._order = list(names)
        self._states = {f.name: TargetState(f.name, "failed", str(f.error)) for f in failures}
        self._states |= {name: TargetState(name) for name in names}
        self._total = _BEFORE + _EACH * len(names) + _AFTER

    def loading(self) -> None:
        """The checkpoint is loaded."""
        self._say("loading the checkpoint", 0)

    def exporting(self, name: str) -> None:
        """A graph's exporter begins."""
        self._set(name, "exporting")
        self._say(f"exporting {name}", self._first(name))

    def checking(self, name: str) -> None:
        """A graph is held against the reference."""
        self._set(name, "checking")
        self._say(f"checking {name}", self._first(name) + 1)

    def proven(self, name: str) -> None:
        """A graph is as it should be; told with the next step."""
        self._set(name, "proven")

    def failed(self, name: str, error: EdgeTxError) -> None:
        """A graph cannot be had; told with the next step."""
        self._set(name, "failed", str(error))

    def recording(self) -> None:
        """The golden answers are recorded."""
        self._say("recording golden answers", self._total - 2)

    def writing(self) -> None:
        """The bundle is written."""
        self._say("writing the bundle", self._total - 1)

    def over(self) -> None:
        """All is done, or there is nothing left to do."""
        self._say("done", self._total)

    def _first(self, name: str) -> int:
        return _BEFORE + _EACH * self._order.index(name)

    def _set(self, name: str, state: str, note: str = "") -> None:
        self._states[name] = replace(self._states[name], state=state, note=note)

    def _say(self, step: str, done: int) -> None:
        if self._tell is not None:
            self._tell(Step(step, done, self._total, tuple(self._states.values())))
