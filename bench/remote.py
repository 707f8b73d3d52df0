"""``edge-tx bench`` on another machine: push, install, run there, fetch the report.

The machine needs sshd, a POSIX shell, ``tar`` and Python 3.10 or newer. edge_tx is installed
there in an environment of its own, which the next run finds again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_tx import archive
from edge_tx.bench import wheels
from edge_tx.bench.ssh import Ssh
from edge_tx.bundle import Bundle
from edge_tx.errors import InvalidConfig, RemoteFailed

__all__ = ["Answer", "Arguments", "Remote", "measure"]

_OLDEST = (3, 10)
_INSTALL_S = 1800.0
_RUN_S = 24 * 3600.0
_PROBE = "import sys; print(*sys.version_info[:2])"
# $1 names the environment, $2 what it must hold, $3 is the interpreter, the rest pip's arguments.
_INSTALL = """
venv="${XDG_CACHE_HOME:-$HOME/.cache}/edge-tx/remote/$1"; holds="$2"; python="$3"; shift 3
if [ "$(cat "$venv/ready" 2>/dev/null)" != "$holds" ]; then
  rm -rf "$venv" && mkdir -p "$venv" || exit 90
  "$python" -m venv "$venv" >&2 || exit 91
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 || exit 92
  printf '%s' "$holds" > "$venv/ready"
fi
printf '%s\\n' "$venv/bin/python"
"""
_INSTALL_FAILURES: Mapping[int, str] = {
    90: "its cache folder cannot be written",
    91: "its Python cannot make an environment (on Debian: apt install python3-venv)",
    92: "pip cannot install edge_tx there (without a network give --wheelhouse)",
}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Remote:
    """Where to measure, and with what.

    Attributes:
        ssh: The machine.
        python: The interpreter there.
        wheelhouse: Folder of wheels to install from, for a machine without a network; None
            lets pip there use its index.
        installed: Use the edge_tx that the interpreter there has, and install nothing: for a
            vendor's runtime that came with the system.
    """

    ssh: Ssh
    python: str = "python3"
    wheelhouse: Path | None = None
    installed: bool = False

    def __post_init__(self) -> None:
        if self.installed and self.wheelhouse is not None:
            raise InvalidConfig("a wheelhouse is installed from, and nothing is to be installed")
        if self.wheelhouse is not None and not self.wheelhouse.is_dir():
            raise InvalidConfig(f"{self.wheelhouse} is not a folder of wheels")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        report: The report's JSON.
        problem: What ``edge-tx bench`` there said beside it; empty if all went well.
    """

    report: str
    problem: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of ``edge-tx bench`` there.

    Attributes:
        bundles: Bundles here: folders or ``.etx`` files.
        files: Other files that the options name, by the name they get there.
        words: The options; a word of ``files`` stands for the file.
    """

    bundles: tuple[Path, ...]
    files: Mapping[str, Path]
    words: tuple[str, ...]


def measure(remote: Remote, arguments: Arguments, tell: Tell = lambda _stage: None) -> Answer:
    """Measures bundles on another machine.

    Args:
        remote: Where.
        arguments: What.
        tell: Called with the name of each stage.

    Raises:
        BundleError: A bundle cannot be read.
        MissingDependency: There is no ``ssh`` here.
        InvalidConfig: There is no wheel, and nothing to build one from.
        RemoteFailed: The machine cannot be reached, has no Python that will do, edge_tx cannot
            be installed there, or it ended without a report.
    """
    ssh = remote.ssh
    with ExitStack() as stack:
        here = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-tx-")))
        tell(f"asking {ssh.host} for its Python")
        _check_python(remote)
        bundles = {
            f"{i}/{packed.name}": packed
            for i, path in enumerate(arguments.bundles)
            for packed in (_packed(path, here / f"{i}"),)
        }
        there = stack.enter_context(_folder(ssh))
        python = remote.python
        if not remote.installed:
            tell(f"installing edge_tx on {ssh.host}")
            python = _install(remote, there, arguments.bundles, here)
        tell(f"copying to {ssh.host}")
        ssh.push({**bundles, **arguments.files}, there)
        tell(f"measuring on {ssh.host}")
        words = [f"{there}/{w}" if w in arguments.files else w for w in arguments.words]
        names = [f"{there}/{name}" for name in bundles]
        return _run(ssh, [python, "-m", "edge_tx", "bench", *names, "--json", "--quiet", *words])


def _run(ssh: Ssh, command: Sequence[str]) -> Answer:
    done = ssh.run(*command, patience_s=_RUN_S)
    if not done.out.lstrip().startswith("{"):
        raise RemoteFailed(f"edge-tx bench on {ssh.host} failed: {done.last_words}")
    return Answer(done.out, done.last_words if done.code else "")


def _check_python(remote: Remote) -> None:
    done = remote.ssh.run(remote.python, "-c", _PROBE)
    host, wanted = remote.ssh.host, ".".join(map(str, _OLDEST))
    words = done.out.split()[-2:]  # a login script may have written before it
    if done.code or len(words) < 2 or not all(word.isdigit() for word in words):
        raise RemoteFailed(
            f"no {remote.python} on {host} ({done.last_words}): install Python {wanted} or newer "
            "there, or name one with --remote-python"
        )
    if tuple(map(int, words)) < _OLDEST:
        raise RemoteFailed(
            f"{remote.python} on {host} is Python {'.'.join(words)}, and edge_tx needs {wanted} "
            "or newer: name another with --remote-python"
        )
    if remote.installed and remote.ssh.run(remote.python, "-c", "import edge_tx").code:
        raise RemoteFailed(f"{remote.python} on {host} has no edge_tx: install it there first")


@contextmanager
def _folder(ssh: Ssh) -> Iterator[str]:
    done = ssh.run("mktemp", "-d", "-t", "edge-tx-XXXXXXXX")
    folder = done.out.strip().splitlines()[-1:] or [""]
    if done.code or "/edge-tx-" not in folder[0]:
        raise RemoteFailed(f"cannot make a folder on {ssh.host}: {done.last_words}")
    try:
        yield folder[0]
    finally:
        ssh.run("rm", "-rf", "--", folder[0])


def _packed(path: Path, folder: Path) -> Path:
    """The bundle as one file whose name it keeps."""
    with Bundle.open(path) as bundle:
        if archive.is_named(path):
            return path
        folder.mkdir()
        packed = folder / f"{path.resolve().name}{archive.SUFFIX}"
        archive.pack(bundle.root, bundle.manifest, packed)
        return packed


def _install(remote: Remote, there: str, bundles: Sequence[Path], here: Path) -> str:
    """Installs edge_tx there unless it is; gives the interpreter that has it."""
    house = remote.wheelhouse
    wheel = (wheels.find(house) if house else None) or wheels.build(here)
    files = {wheel.name: wheel}
    if house is not None:
        files |= {path.name: path for path in house.glob("*.whl")}
    wanted = ",".join(sorted(wheels.extras(wheel) & _backends(bundles)))
    asked = f"{there}/{wheel.name}" + (f"[{wanted}]" if wanted else "")
    source = ["--no-index", "--find-links", there] if house else []
    name = hashlib.sha256(f"{wanted} {remote.python}".encode()).hexdigest()[:16]
    remote.ssh.push(files, there)
    script = ("sh", "-c", _INSTALL, "sh", name, wheels.identity(wheel), remote.python)
    done = remote.ssh.run(*script, *source, asked, patience_s=_INSTALL_S)
    if done.code:
        why = _INSTALL_FAILURES.get(done.code, "installing edge_tx failed")
        raise RemoteFailed(f"{remote.ssh.host}: {why}: {done.last_words}")
    return done.out.strip().splitlines()[-1]


def _backends(bundles: Sequence[Path]) -> frozenset[str]:
    """Backends of the graphs: extras named after them bring their runtimes."""
    found: set[str] = set()
    for path in bundles:
        with Bundle.open(path) as bundle:
            found |= {graph.backend for graph in bundle.graphs}
    return frozenset(found)
