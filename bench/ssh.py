"""Commands on another machine, through the system's own ``ssh``.

Its configuration, agent, keys and known hosts are the user's; nothing is asked, as nobody may
be there to answer.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_tx.errors import InvalidConfig, MissingDependency, RemoteFailed

__all__ = ["Done", "Ssh"]

# ssh's own exit code for "never got there"; the command's own code otherwise.
_NEVER_THERE = 255
_CONNECT_S = 15


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last line of stderr that says something."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit code {self.code} without a word"


@dataclass(frozen=True, slots=True)
class Ssh:
    """One machine.

    Attributes:
        host: As ``ssh`` takes it: ``user@host``, ``ssh://user@host:port``, or a name of the
            user's ``~/.ssh/config``.
        options: Options of ``ssh_config`` by name: ``Port``, ``IdentityFile``...

    Raises:
        InvalidConfig: The host would be read as an option.
    """

    host: str
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.host or self.host.startswith("-"):
            raise InvalidConfig(f"'{self.host}' is not a machine: give user@host")

    def run(self, *words: str, patience_s: float = 120.0) -> Done:
        """Runs a command there and waits for it.

        Args:
            *words: The command, quoted for the shell there.
            patience_s: Seconds to wait.

        Raises:
            MissingDependency: There is no ``ssh`` here.
            RemoteFailed: The machine cannot be reached, or gave no answer in time.
        """
        try:
            done = subprocess.run(
                self._command(words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise RemoteFailed(
                f"{self.host} gave no answer to '{words[0]}' in {patience_s:.0f} s"
            ) from exc
        return self._checked(Done(done.returncode, done.stdout, done.stderr))

    def push(self, files: Mapping[str, Path], folder: str) -> None:
        """Copies files into a folder that is there.

        Args:
            files: Files here, by their name in the folder.
            folder: Path of the folder there.

        Raises:
            MissingDependency: There is no ``ssh`` here.
            RemoteFailed: The machine cannot be reached, has no ``tar``, or no room.
        """
        process = subprocess.Popen(
            self._command(("tar", "-x", "-f", "-", "-C", folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stderr is not None  # noqa: S101 - for mypy
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
                for name, path in files.items():
                    archive.add(path, name, filter=_plain)
            process.stdin.close()
        except BrokenPipeError:
            pass  # what ended it stands in stderr
        said = process.stderr.read().decode("utf-8", "replace")
        done = self._checked(Done(process.wait(), "", said))
        if done.code:
            raise RemoteFailed(f"copying to {self.host} failed: {done.last_words}")

    def _command(self, words: Sequence[str]) -> list[str]:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MissingDependency(
                "ssh", "measuring on another machine", "install the OpenSSH client"
            )
        options = {"BatchMode": "yes", "ConnectTimeout": str(_CONNECT_S), **dict(self.options)}
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [ssh, *flags, "--", self.host, shlex.join(words)]

    def _checked(self, done: Done) -> Done:
        if done.code == _NEVER_THERE:
            raise RemoteFailed(f"cannot reach {self.host} over ssh: {done.last_words}")
        return done


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without this machine's names and ids, which the other need not know."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
