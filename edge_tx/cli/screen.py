"""Where a verb writes: results to stdout, progress to stderr."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from edge_tx.exporters.progress import Step, TargetState
    from edge_tx.optimizing.seam import Begun

__all__ = ["Progress", "Screen", "facts", "grid", "human_bytes", "output_options"]

F = TypeVar("F", bound=Callable[..., Any])


class Progress(Protocol):
    """Told which stage of a long job begins."""

    def __call__(self, name: str, done: int = 0, total: int = 0, /) -> None:
        """A stage begins, and ``done`` of ``total`` are over; 0 of 0 if that is unknown."""


@dataclass(frozen=True, slots=True)
class Screen:
    """How a verb talks to the user.

    Attributes:
        json: Results as JSON instead of tables.
        quiet: No progress and no remarks; warnings and errors stay.
    """

    json: bool = False
    quiet: bool = False

    def result(self, record: Mapping[str, Any], *rendered: RenderableType) -> None:
        """Writes one result to stdout: the record as JSON, or its rendering."""
        if self.json:
            click.echo(json.dumps(record, ensure_ascii=False, indent=2))
            return
        console = _console(sys.stdout)
        with console.capture() as capture:
            for part in rendered:
                console.print(part)
        lines = capture.get().splitlines()
        print(*(line.rstrip() for line in lines), sep="\n")  # rich fills lines up with blanks

    def remark(self, text: str) -> None:
        """Writes a remark to stderr."""
        if not self.quiet:
            _console(sys.stderr).print(text, style="dim", markup=False, highlight=False)

    @contextmanager
    def stages(self) -> Iterator[Progress]:
        """Shows the stages of a long job on stderr, each with its time when it is over.

        Yields:
            A function to call when a stage begins: with its name, and where it is known how
            many stages are done and of how many.
        """
        if self.quiet:
            yield _say_nothing
            return
        console = _console(sys.stderr)
        with console.status("", spinner="line") as status:
            stages = _Stages(console, status.update)
            yield stages.begin
            stages.end()

    @contextmanager
    def board(self) -> Iterator[Callable[[Step], None]]:
        """Shows an export on stderr: its stages with their times, and how far each graph is.

        Yields:
            A function to call with each step.
        """
        if self.quiet:
            yield lambda _step: None
            return
        from rich.live import Live

        console = _console(sys.stderr)
        stages = _Stages(console, lambda _name: None)
        # Without a terminal there is nothing to draw over: the stages' own lines say it all.
        live = Live(console=console, transient=True, auto_refresh=console.is_terminal)
        failed: set[str] = set()

        def tell(step: Step) -> None:
            stages.begin(step.name, step.done, step.total)
            for target in step.targets:
                if target.state == "failed" and target.name not in failed:
                    failed.add(target.name)
                    console.print(f"  failed  {target.name}", style="red", highlight=False)
            live.update(_board(step) if console.is_terminal and step.done < step.total else "")

        with live:
            yield tell
            stages.end()

    @contextmanager
    def walk(self) -> Iterator[Callable[[Begun], None]]:
        """Shows the steps of a long walk on stderr: each with its time and what came of it.

        What a step is just doing is only shown where there is a terminal to draw over; elsewhere
        a line says that it begins, as a step may take minutes.

        Yields:
            A function to call with each step.
        """
        if self.quiet:
            yield lambda _begun: None
            return
        console = _console(sys.stderr)
        began: dict[str, float] = {}

        def tell(step: Begun) -> None:
            if step.step not in began and not step.result and not console.is_terminal:
                console.print(f"{'...':>8}  {step.step}", style="dim", markup=False, soft_wrap=True)
            start = began.setdefault(step.step, time.perf_counter())
            if step.result:
                took = "  before" if step.recalled else f"{time.perf_counter() - start:6.1f} s"
                line = f"{took}  {step.step}: {step.result}"
                console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
            status.update(_plain(f"{step.step}: {step.detail}" if step.detail else step.step))

        with console.status("", spinner="line") as status:
            yield tell


_STATE_STYLES = {"proven": "green", "failed": "red", "waiting": "dim"}


def _board(step: Step) -> RenderableType:
    from rich.console import Group
    from rich.spinner import Spinner

    counted = f"{step.name} ({step.done + 1}/{step.total})"
    return Group(_states(step.targets), Spinner("line", _plain(counted)))


def _states(targets: Sequence[TargetState]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for target in targets:
        style = _STATE_STYLES.get(target.state, "bold")
        table.add_row(Text("  " + target.name), Text(target.state, style=style))
    return table


def _say_nothing(_name: str, _done: int = 0, _total: int = 0, /) -> None:
    pass


class _Stages:
    """Prints a stage with its time when the next begins."""

    def __init__(self, console: Console, update: Callable[[str], None]) -> None:
        self._console = console
        self._update = update
        self._name = ""
        self._began = 0.0

    def begin(self, name: str, done: int = 0, total: int = 0, /) -> None:
        self.end()
        if done < total or not total:  # the call after the last stage only ends it
            self._name, self._began = name, time.perf_counter()
            self._update(f"{name} ({done + 1}/{total})" if total else name)

    def end(self) -> None:
        if self._name:
            seconds = time.perf_counter() - self._began
            self._console.print(
                f"{seconds:6.1f} s  {self._name}", style="dim", markup=False, highlight=False
            )
            self._name = ""


def output_options(verb: F) -> F:
    """Gives a verb ``--json`` and ``--quiet``, and calls it with a :class:`Screen`."""

    @click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
    @click.option("-q", "--quiet", is_flag=True, help="Show no progress and no remarks.")
    @functools.wraps(verb)
    def with_screen(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> Any:
        return verb(*args, screen=Screen(as_json, quiet), **kwargs)

    return with_screen  # type: ignore[return-value]


def facts(rows: Mapping[str, object], width: int = 0) -> Table:
    """A table of names and values; rows with nothing to say are left out.

    Args:
        rows: Values by name.
        width: Columns that the names take at least, so that several tables line up.
    """
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in ("", None, ()):
            table.add_row(_plain(name), _plain(value))
    return table


def grid(
    columns: Sequence[str], rows: Sequence[Sequence[object]], right: str | Sequence[str] = ""
) -> Table:
    """A table with a head.

    Args:
        columns: Their names.
        rows: Cells by row.
        right: Names of the columns that are set flush right, as a sequence or separated by blanks.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    flush = right.split() if isinstance(right, str) else right
    for name in columns:
        table.add_column(name, justify="right" if name in flush else "left")
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def human_bytes(count: float) -> str:
    """A size in decimal units, as disks and downloads are sold: ``"90.4 MB"``."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _plain(value: object) -> RenderableType:
    from rich.text import Text

    return value if isinstance(value, Text) else Text(str(value))


def _console(stream: Any) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=False)
