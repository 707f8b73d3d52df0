"""The options that let a verb run on another machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from edge_tx.cli.opening import pair
from edge_tx.errors import InvalidConfig

if TYPE_CHECKING:
    from edge_tx.bench.remote import Answer, Arguments, Remote

__all__ = ["Elsewhere", "remote_options"]

F = TypeVar("F", bound=Callable[..., Any])

# What says where, or how the answer looks here, means nothing there.
_STAYS = frozenset(
    {"remote", "remote_python", "wheelhouse", "remote_installed", "ssh_pairs", "json", "quiet"}
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another machine, and the command line that goes there."""

    remote: Remote
    arguments: Arguments

    def measure(self, tell: Callable[[str], None]) -> Answer:
        """Runs the verb there; see :func:`edge_tx.bench.remote.measure`."""
        from edge_tx.bench.remote import measure

        return measure(self.remote, self.arguments, tell)


def remote_options(stays: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Gives a verb ``--remote`` and its companions, as ``elsewhere``: None if it runs here.

    Args:
        stays: Names of the verb's parameters that are about this machine alone, such as files
            to write.
    """

    def decorate(verb: F) -> F:
        @click.option("--remote", metavar="USER@HOST", help="Measure there, over ssh.")
        @click.option(
            "--remote-python",
            default="python3",
            show_default=True,
            help="The interpreter there, 3.10 or newer.",
        )
        @click.option(
            "--remote-installed",
            is_flag=True,
            help="Use the edge_tx that is installed there; install nothing.",
        )
        @click.option(
            "--wheelhouse",
            type=click.Path(path_type=Path),
            help="Folder of wheels to install from there, for a machine without a network.",
        )
        @click.option(
            "--ssh-option",
            "ssh_pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of ssh, e.g. IdentityFile=... May be given several times.",
        )
        @functools.wraps(verb)
        def with_remote(
            *args: Any,
            remote: str | None,
            remote_python: str,
            remote_installed: bool,
            wheelhouse: Path | None,
            ssh_pairs: tuple[str, ...],
            **kwargs: Any,
        ) -> Any:
            elsewhere = None
            if remote is None:
                _refuse_companions()
            else:
                from edge_tx.bench.remote import Remote
                from edge_tx.bench.ssh import Ssh

                ssh = Ssh(remote, tuple(map(pair, ssh_pairs)))
                where = Remote(ssh, remote_python, wheelhouse, remote_installed)
                elsewhere = Elsewhere(where, _arguments(_STAYS | stays))
            return verb(*args, elsewhere=elsewhere, **kwargs)

        return with_remote  # type: ignore[return-value]

    return decorate


def _refuse_companions() -> None:
    context = click.get_current_context()
    for name in sorted(_STAYS - {"remote", "json", "quiet"}):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            [option] = (p.opts[0] for p in context.command.params if p.name == name)
            raise InvalidConfig(f"{option} says how to measure elsewhere: give --remote, too")


def _arguments(stays: frozenset[str]) -> Arguments:
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
    if not path.is_file():
        raise InvalidConfig(f"cannot read {path}: there is no such file")
    return path
