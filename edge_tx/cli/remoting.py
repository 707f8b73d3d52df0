"""The options that let ``bench`` measure on another machine, or on a phone."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from click.core import ParameterSource

from edge_tx.cli.opening import pair
from edge_tx.cli.screen import Screen
from edge_tx.errors import InvalidConfig, RemoteFailed

if TYPE_CHECKING:
    from edge_tx.bench.android import Phone
    from edge_tx.bench.remote import Arguments, Remote
    from edge_tx.report import Report

__all__ = ["Elsewhere", "from_elsewhere", "remote_options"]

F = TypeVar("F", bound=Callable[..., Any])
Tell = Callable[[str], None]

_OPTIONS = (
    click.option("--remote", metavar="USER@HOST", help="Measure there, over ssh."),
    click.option(
        "--remote-python",
        default="python3",
        show_default=True,
        help="The interpreter there, 3.10 or newer.",
    ),
    click.option(
        "--remote-installed",
        is_flag=True,
        help="Use the edge_tx that is installed there; install nothing.",
    ),
    click.option(
        "--wheelhouse",
        type=click.Path(path_type=Path),
        help="Folder of wheels to install from there, for a machine without a network.",
    ),
    click.option(
        "--ssh-option",
        "ssh_pairs",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of ssh, e.g. IdentityFile=... May be given several times.",
    ),
    click.option(
        "--android",
        type=click.Path(path_type=Path),
        metavar="TOOL",
        help="Measure on a phone, through adb, with this benchmark_model of LiteRT.",
    ),
    click.option("--adb-serial", default="", help="Which phone, as adb devices says."),
)
# By what they go with: given alone they mean nothing.
_COMPANIONS = {
    "remote": ("remote_python", "remote_installed", "wheelhouse", "ssh_pairs"),
    "android": ("adb_serial",),
}
# What says where, or how the answer looks here, means nothing there.
_STAYS = {"as_json", "quiet", *_COMPANIONS, *(n for names in _COMPANIONS.values() for n in names)}


class Elsewhere(Protocol):
    """Where to measure instead of here."""

    def measure(self, tell: Tell) -> tuple[Report, str]:
        """Measures there: the report, and what went wrong beside it, empty if nothing did."""


@dataclass(frozen=True, slots=True)
class _Machine:
    remote: Remote
    arguments: Arguments

    def measure(self, tell: Tell) -> tuple[Report, str]:
        from edge_tx.bench.remote import measure
        from edge_tx.report import Report

        answer, host = measure(self.remote, self.arguments, tell), self.remote.ssh.host
        problem = f"{host}: {answer.problem}" if answer.problem else ""
        return Report.from_json(answer.report, f"the report of {host}"), problem


@dataclass(frozen=True, slots=True)
class _OnPhone:
    phone: Phone
    bundles: tuple[Path, ...]

    def measure(self, tell: Tell) -> tuple[Report, str]:
        from edge_tx.bench.android import measure

        report = measure(self.phone, self.bundles, tell)
        failed = [row for row in report.rows if row.status == "failed"]
        return report, f"{failed[0].label}: {failed[0].note}" if failed else ""


def remote_options(stays: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Gives a verb ``--remote``, ``--android`` and their companions, as ``elsewhere``.

    It is None if the verb runs here.

    Args:
        stays: Names of the verb's parameters that are about this machine alone, such as files
            to write.
    """

    def decorate(verb: F) -> F:
        @functools.wraps(verb)
        def with_elsewhere(*args: Any, **kwargs: Any) -> Any:
            mine = {name: kwargs.pop(name) for name in _STAYS & kwargs.keys()}
            elsewhere = _elsewhere(mine, kwargs, {*_STAYS, *stays})
            return verb(*args, elsewhere=elsewhere, **kwargs)

        decorated: Any = with_elsewhere
        for option in reversed(_OPTIONS):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def from_elsewhere(elsewhere: Elsewhere, outputs: tuple[str, ...], screen: Screen) -> None:
    """Measures elsewhere, and shows and writes the report here.

    Raises:
        EdgeTxError: See :func:`edge_tx.bench.remote.measure` and
            :func:`edge_tx.bench.android.measure`.
        RemoteFailed: A report came back, and something went wrong beside it.
    """
    from edge_tx.cli import tables
    from edge_tx.report_files import write

    with screen.stages() as progress:
        report, problem = elsewhere.measure(progress)
    for name in write(report, outputs):
        screen.remark(f"wrote {name}")
    screen.result(json.loads(report.to_json()), *tables.of_report(report))
    if problem:
        raise RemoteFailed(problem)


def _elsewhere(mine: dict[str, Any], others: dict[str, Any], stays: set[str]) -> Elsewhere | None:
    _check_companions(mine)
    if mine["remote"] is not None:
        from edge_tx.bench.remote import Remote
        from edge_tx.bench.ssh import Ssh

        ssh = Ssh(mine["remote"], tuple(map(pair, mine["ssh_pairs"])))
        where = Remote(ssh, mine["remote_python"], mine["wheelhouse"], mine["remote_installed"])
        return _Machine(where, _arguments(stays))
    if mine["android"] is not None:
        from edge_tx.bench.android import Phone

        phone = Phone(mine["android"], mine["adb_serial"], **_phone_settings(others))
        return _OnPhone(phone, _arguments(stays).bundles)
    return None


def _phone_settings(others: dict[str, Any]) -> dict[str, Any]:
    threads = str(others["threads"] or "4")
    if not threads.isdigit() or threads == "0":
        raise InvalidConfig(f"a phone is measured with one number of threads, not {threads}")
    return {"threads": int(threads), "seconds": others["seconds"], "runs": others["min_calls"]}


def _check_companions(mine: dict[str, Any]) -> None:
    if mine["remote"] is not None and mine["android"] is not None:
        raise InvalidConfig("--remote and --android name two places: give one")
    context = click.get_current_context()
    for place, names in _COMPANIONS.items():
        for name in names if mine[place] is None else ():
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                [option] = (p.opts[0] for p in context.command.params if p.name == name)
                raise InvalidConfig(f"{option} goes with --{place}: give that, too")


def _arguments(stays: set[str]) -> Arguments:
    """The command line of this call, as it goes to the other machine."""
    from edge_tx.bench.remote import Arguments

    context = click.get_current_context()
    bundles: list[Path] = []
    files: dict[str, Path] = {}
    words: list[str] = []
    for parameter in context.command.params:
        if parameter.name is None or parameter.name in stays:
            continue
        if context.get_parameter_source(parameter.name) is not ParameterSource.COMMANDLINE:
            continue
        for value in _values(context.params[parameter.name]):
            if isinstance(parameter, click.Argument):
                bundles.append(Path(value))
                continue
            words.append(_spelled(parameter, value))
            if isinstance(parameter.type, click.Path):
                name = f"files/{len(files)}/{Path(value).name}"
                files[name] = _readable(Path(value))
                words.append(name)
            elif not _is_flag(parameter):
                words.append(str(value))
    return Arguments(tuple(bundles), files, tuple(words))


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        yield from value
    else:
        yield value


def _is_flag(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_flag


def _spelled(parameter: click.Parameter, value: Any) -> str:
    """The option's long name; its negation for a flag that was switched off."""
    names = parameter.secondary_opts if value is False else parameter.opts
    return max(names, key=len)


def _readable(path: Path) -> Path:
    if path.is_dir():
        raise InvalidConfig(f"{path} is a folder, and only files go to the other machine")
    if not path.is_file():
        raise InvalidConfig(f"cannot read {path}: there is no such file")
    return path
