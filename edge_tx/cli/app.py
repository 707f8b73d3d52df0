"""The command ``edge-tx``: finds the verb, runs it, and turns what fails into one line."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, cast

import click

import edge_tx
from edge_tx.cli.failures import Failure, explain
from edge_tx.errors import TruncationWarning, UnknownName

__all__ = ["VERBS", "cli", "main", "run"]

# Verb -> its line in `edge-tx --help`. Its command is `command` in edge_tx/cli/<verb>.py, where a
# dash is an underscore.
VERBS: Mapping[str, str] = MappingProxyType(
    {
        "export": "Turn a checkpoint into a bundle whose graphs are proven.",
        "prune": "Take heads, neurons and layers out, down to a speed or a size.",
        "quantize": "Add smaller, faster graphs to a bundle, behind an accuracy gate.",
        "distill": "Train a small model to answer as a large one does.",
        "sparsify": "Set weights of a checkpoint to zero, without training.",
        "optimize": "Prune, quantise and measure; keep the best within a budget.",
        "run": "Answer texts from the arguments, a file or stdin.",
        "batch": "Answer files of any size; goes on after a kill.",
        "build": "Build the engines that a bundle's graphs need on this device.",
        "verify": "Check a bundle's hashes and its answers on this device.",
        "conformance": "Score a program in any language against the golden answers.",
        "eval": "Measure every graph on labelled data, side by side.",
        "inspect": "Show what a bundle holds and where it came from.",
        "bench": "Measure load time, latency, throughput and memory here.",
        "report": "Show reports of bench as HTML, Markdown, CSV or a table.",
        "compare": "Hold a report of bench against an earlier one.",
        "tune": "Find the best graph for this device, and remember it.",
        "pack": "Pack a bundle into one .etx file, or a graph with its tokenizer.",
        "init-app": "Copy an example app with a bundle in it, ready to run.",
        "doctor": "Look over this device and the installed backends.",
        "tasks": "List the tasks.",
        "recipes": "List the ways to quantise, and their options.",
        "backends": "List the backends.",
        "completion": "Print the script that completes edge-tx in a shell.",
    }
)


class _Verbs(click.Group):
    """Verbs whose modules are imported only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            module = importlib.import_module(f"edge_tx.cli.{cmd_name.replace('-', '_')}")
            return cast(click.Command, module.command)
        if ctx.resilient_parsing:  # completing a line that holds an unknown verb
            return None
        raise UnknownName("command", cmd_name, VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes and every option: docs/cli.md. EDGE_TX_TRACEBACK=1 shows tracebacks.",
)
@click.version_option(edge_tx.__version__, prog_name="edge-tx")
def cli() -> None:
    """Transformer models on the edge: export, prove, run without torch.

    \b
    edge-tx export MODEL -o BUNDLE     a folder with config.json, or a hub id
    edge-tx run BUNDLE "some text"
    """  # noqa: D301 - click's mark for lines that stay as they are


def main() -> NoReturn:
    """Entry point of the command ``edge-tx``."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Runs one command line.

    Args:
        args: What follows ``edge-tx``.

    Returns:
        The exit code; see ``docs/cli.md``.
    """
    _open_streams()
    _quieten_warnings()
    try:
        code = cli.main(list(args) or ["--help"], prog_name="edge-tx", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `edge-tx run ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:  # before click is at work, or while a module is imported
        return _report(click.Abort(), explain(click.Abort()))
    except Exception as exc:  # noqa: BLE001 - the one place where every failure becomes a line
        return _report(exc, explain(exc))
    return code if isinstance(code, int) else 0


def _report(exc: Exception, failure: Failure) -> int:
    if os.environ.get("EDGE_TX_TRACEBACK") == "1":
        traceback.print_exception(exc)
    for line in failure.lines:
        print(line, file=sys.stderr)
    return failure.exit_code


def _open_streams() -> None:
    """Makes do with what a shell has closed, or whose encoding lacks characters of ours."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # edge-tx ... <&-
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _quieten_warnings() -> None:
    """Our own warnings become a line each; those of other packages are not the user's."""
    if not sys.warnoptions:  # python -W ... asks for something else
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", TruncationWarning)
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str, category: type[Warning], *_where: object, **_more: object
) -> None:
    kind = "" if category is TruncationWarning else f"{category.__name__}: "
    print(f"edge-tx: warning: {kind}{message}", file=sys.stderr)
