"""Every error edge_tx raises on purpose.

The tree, with the exit code the command line gives each::

    EdgeTxError                        1   (never raised itself)
    |-- InvalidConfig(ValueError)      2   an option or a combination of options makes no sense
    |-- UnknownName(LookupError)       2   no such backend, task, graph...; says which there are
    |-- MissingDependency(ImportError) 3   a package is not installed; names the pip line
    |-- UnsupportedModel               4   this checkpoint cannot be exported, and why
    |-- ExportFailed                   5   the exporter of a vendor failed
    |-- ParityFailed                   6   a graph's answers differ from the reference
    |-- AccuracyGateFailed             7   a graph's metric fell below its budget
    |-- BundleError                    8
    |   |-- BundleCorrupt              8   damaged: a hash, a size or a field is wrong
    |   |-- BundleTooNew               9   written by a newer edge_tx
    |   `-- BundleUnsafe              10   reaches outside its folder, links, bombs
    |-- InvalidInput(ValueError)      11   a text or a record cannot be used
    |-- FeedMismatch(ValueError)      12   arrays do not fit a graph's inputs
    |-- DeviceUnavailable             13   the device that was asked for is not here
    |-- SessionFailed                 14   a vendor runtime failed while opening or running a graph
    |-- PartialExport                 15   some graphs were written, and others could not be made
    |-- BatchStopped                  16   a batch job ended before its input did
    `-- RemoteFailed                  17   another machine cannot be reached, or cannot measure

A message is one line: what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_tx.light import dataclass

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle

__all__ = [
    "AccuracyGateFailed",
    "BatchStopped",
    "BundleCorrupt",
    "BundleError",
    "BundleTooNew",
    "BundleUnsafe",
    "DeviceUnavailable",
    "EdgeTxError",
    "ExportFailed",
    "FailedTarget",
    "FeedMismatch",
    "InvalidConfig",
    "InvalidInput",
    "MissingDependency",
    "ParityFailed",
    "PartialExport",
    "RemoteFailed",
    "SessionFailed",
    "TruncationWarning",
    "UnknownName",
    "UnsupportedModel",
]


class EdgeTxError(Exception):
    """Base of every error edge_tx raises on purpose."""

    exit_code = 1


class InvalidConfig(EdgeTxError, ValueError):
    """An option, or a combination of options, makes no sense."""

    exit_code = 2


class UnknownName(EdgeTxError, LookupError):
    """A name is not one of the names there are.

    Args:
        kind: What was looked for, e.g. ``"backend"``.
        name: The name that was given.
        choices: The names there are.
    """

    exit_code = 2

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        import difflib  # only a mistake needs it

        self.kind = kind
        self.name = name
        self.choices = sorted(choices)
        near = difflib.get_close_matches(name, self.choices, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        known = ", ".join(self.choices) or "none"
        super().__init__(f"unknown {kind} '{name}'; {hint}known: {known}")


class MissingDependency(EdgeTxError, ImportError):
    """A package that the call needs is not installed.

    Args:
        package: What is missing.
        purpose: What it is needed for.
        install: The command line that installs it.
    """

    exit_code = 3

    def __init__(self, package: str, purpose: str, install: str) -> None:
        self.package = package
        self.install = install
        super().__init__(f"{purpose} needs {package}, which is not installed: {install}")


class UnsupportedModel(EdgeTxError):
    """A checkpoint cannot be exported; the message says why."""

    exit_code = 4


class ExportFailed(EdgeTxError):
    """A vendor's exporter failed."""

    exit_code = 5


class ParityFailed(EdgeTxError):
    """A graph's answers differ from the fp32 reference by more than its budget."""

    exit_code = 6


class AccuracyGateFailed(EdgeTxError):
    """A graph's metric dropped by more than its budget."""

    exit_code = 7


class BundleError(EdgeTxError):
    """A bundle cannot be read or written."""

    exit_code = 8


class BundleCorrupt(BundleError):
    """A bundle is damaged: a hash, a size, a missing file or a wrong field."""

    exit_code = 8


class BundleTooNew(BundleError):
    """A bundle was written by a newer edge_tx."""

    exit_code = 9


class BundleUnsafe(BundleError):
    """A bundle reaches outside its own folder, holds links, or unpacks to too much."""

    exit_code = 10


class InvalidInput(EdgeTxError, ValueError):
    """A text, a pair or a record cannot be used as the task's input."""

    exit_code = 11


class FeedMismatch(EdgeTxError, ValueError):
    """Arrays do not fit a graph's inputs; all the problems are listed at once."""

    exit_code = 12


class DeviceUnavailable(EdgeTxError):
    """The device that was asked for is not here; nothing else was tried instead."""

    exit_code = 13


class SessionFailed(EdgeTxError):
    """A vendor runtime failed while it opened or ran a graph."""

    exit_code = 14


@dataclass(frozen=True, slots=True)
class FailedTarget:
    """A graph that could not be made.

    Attributes:
        name: Of the graph, e.g. ``"tflite-fp32"``.
        error: Why.
    """

    name: str
    error: EdgeTxError


class PartialExport(EdgeTxError):
    """Some graphs were made, proven and written; others could not be made.

    Args:
        bundle: What was written, open.
        failures: What is not in it, and why.
    """

    exit_code = 15

    def __init__(self, bundle: Bundle, failures: tuple[FailedTarget, ...]) -> None:
        self.bundle = bundle
        self.failures = failures
        written = ", ".join(graph.name for graph in bundle.graphs)
        told = "; ".join(f"{failed.name}: {failed.error}" for failed in failures)
        super().__init__(f"{bundle.origin} holds {written} only; not in it: {told}")


class BatchStopped(EdgeTxError):
    """A batch job ended before its input did; the same job goes on where it stopped."""

    exit_code = 16


class RemoteFailed(EdgeTxError):
    """Another machine cannot be reached, has not what it takes, or failed to measure."""

    exit_code = 17


class TruncationWarning(UserWarning):
    """Texts were longer than the model can read, and their ends were not seen."""
