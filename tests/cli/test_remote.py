"""``edge-tx bench --remote`` over a real sshd on the loopback, which the tests start and stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_tx.errors import MissingDependency, RemoteFailed
from edge_tx.report import Report

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv PYTHONPATH={root} XDG_CACHE_HOME={cache} EDGE_TX_CACHE={folder}/bundles TMPDIR={scratch}
"""


@dataclass(frozen=True)
class Loopback:
    """An sshd that runs, and the options that reach it."""

    port: int
    folder: Path

    @property
    def scratch(self) -> Path:
        """Where the other side keeps what it needs for a while; nobody else writes there."""
        return self.folder / "tmp"

    def options(self, **over: str | int) -> list[str]:
        settings: dict[str, Any] = {
            "Port": self.port,
            "IdentityFile": self.folder / "client",
            "UserKnownHostsFile": self.folder / "known",
            "StrictHostKeyChecking": "accept-new",
            "IdentitiesOnly": "yes",
            "ControlPath": "none",
            **over,
        }
        return [word for k, v in settings.items() for word in ("--ssh-option", f"{k}={v}")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"no {name} here: apt install openssh-server openssh-client")
    return found


@pytest.fixture(scope="module")
def privsep() -> Iterator[None]:
    """The empty folder that sshd wants when root starts it; a service's start makes it."""
    folder = Path("/run/sshd")
    made = os.geteuid() == 0 and not folder.exists()
    if made:
        folder.mkdir(mode=0o755)
    yield
    if made:
        folder.rmdir()


@pytest.fixture(scope="module")
def loopback(privsep: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    sshd, keygen, _ = tool("sshd"), tool("ssh-keygen"), tool("ssh")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "client"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    there = Loopback(free_port(), folder)
    there.scratch.mkdir()
    config = folder / "config"
    places = {"folder": folder, "cache": folder / "cache", "scratch": there.scratch}
    config.write_text(CONFIG.format(port=there.port, root=ROOT, **places))
    log = folder / "log"
    process = subprocess.Popen([sshd, "-D", "-f", str(config), "-E", str(log)])
    try:
        if not greets(there.port, process):
            pytest.skip(f"sshd does not start here: {log.read_text()[-300:]}")
        yield there
    finally:
        process.terminate()
        process.wait(10)


def greets(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Waits for the server's first words, up to five seconds."""
    for _ in range(100):
        if first_words(port) == b"SSH-":
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return False  # it has ended
    return False


def first_words(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4)
    except OSError:
        return b""


@pytest.fixture
def bench(edge_tx: Any, loopback: Loopback, fake_bundle: Callable[..., Path]) -> Callable[..., Any]:
    bundle = fake_bundle("sentence-embedding")

    def call(*args: str | Path, python: str = sys.executable, **over: str | int) -> Any:
        there = ["--remote", "127.0.0.1", "--remote-python", python, *loopback.options(**over)]
        return edge_tx("bench", bundle, "--seconds", "0.02", *there, *args)

    return call


def test_a_report_comes_back_and_nothing_stays(
    bench: Any, loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "my texts.txt"
    texts.write_text("the cat sat\nthe dog ran on a mat\n")
    here = tmp_path / "scratch"
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    done = bench("--file", texts, "--threads", "1", "--remote-installed", "--json", "-q")
    assert (done.code, done.err) == (0, "")
    report = Report.from_json(done.out)
    assert {(row.graph, row.status, row.threads) for row in report.rows} == {("fake-fp32", "ok", 1)}
    assert all(row.latency and row.samples_ns for row in report.rows)
    assert [*here.iterdir(), *loopback.scratch.iterdir()] == []


def test_what_fails_there_is_told_here(bench: Any) -> None:
    done = bench("--remote-installed", "--backend", "fake")
    assert done.code == RemoteFailed.exit_code
    assert "no golden answers" in done.err.splitlines()[-1]


@dataclass(frozen=True)
class Case:
    """Something that is wrong with the other machine, and what is said."""

    name: str
    says: str
    python: str = sys.executable
    over: tuple[tuple[str, str | int], ...] = ()


CASES = (
    Case("refused", "cannot reach 127.0.0.1 over ssh", over=(("Port", 1),)),
    Case("no key", "Permission denied", over=(("IdentityFile", "/dev/null"),)),
    Case("no python", "no python-that-is-not-there on", python="python-that-is-not-there"),
    Case("no edge_tx", "has no edge_tx", python="bare"),
    Case("old", "is Python 3.8, and edge_tx needs 3.10", python="old"),
)
SCRIPTS = {"old": "echo 3 8", "bare": 'case "$2" in *version_info*) echo 3 12;; *) exit 1;; esac'}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_there_is_one_line(case: Case, bench: Any, tmp_path: Path) -> None:
    python = case.python
    if case.python in SCRIPTS:
        script = tmp_path / case.python
        script.write_text(f"#!/bin/sh\n{SCRIPTS[case.python]}\n")
        script.chmod(0o755)
        python = str(script)
    done = bench("--remote-installed", "-q", python=python, **dict(case.over))
    assert done.code == RemoteFailed.exit_code
    assert case.says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_no_ssh_here(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bench("--remote-installed", "-q")
    assert done.code == MissingDependency.exit_code
    assert "OpenSSH" in done.err


def test_companions_go_with_remote(edge_tx: Any, fake_bundle: Callable[..., Path]) -> None:
    bundle = fake_bundle("sentence-embedding")
    done = edge_tx("bench", bundle, "--wheelhouse", ".")
    assert done.code == 2
    assert "--wheelhouse" in done.err and "--remote" in done.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--remote", "-oProxyCommand=x"], "is not a machine"),
        (["--remote", "h", "--wheelhouse", "nowhere"], "not a folder of wheels"),
        (["--remote", "h", "--ssh-option", "Port"], "not KEY=VALUE"),
        (["--remote", "h", "--file", "nowhere.txt"], "cannot read nowhere.txt"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_done(
    edge_tx: Any, fake_bundle: Callable[..., Path], args: list[str], says: str
) -> None:
    done = edge_tx("bench", fake_bundle("sentence-embedding"), *args)
    assert done.code in (2, 11)
    assert says in done.err


@pytest.mark.skipif(
    "EDGE_TX_WHEELHOUSE" not in os.environ,
    reason="needs EDGE_TX_WHEELHOUSE: a folder with the wheels of edge_tx's dependencies",
)
def test_edge_tx_is_installed_from_a_wheelhouse_and_found_again(
    bench: Any, loopback: Loopback, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sat\n")
    house = os.environ["EDGE_TX_WHEELHOUSE"]
    python = shutil.which("python3") or sys.executable
    for _ in range(2):
        done = bench("--file", texts, "--wheelhouse", house, "--json", "-q", python=python)
        assert (done.code, done.err) == (0, "")
        assert json.loads(done.out)["rows"][0]["status"] == "ok"
    [ready] = (loopback.folder / "cache").rglob("ready")
    assert ready.parent.joinpath("bin", "edge-tx").exists()
