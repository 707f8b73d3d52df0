"""Whatever goes wrong is one line on stderr and an exit code of its own."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edge_tx import errors
from edge_tx.cli import failures
from edge_tx.cli.failures import explain

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["exprot", "m"], "unknown command 'exprot'; did you mean 'export'?"),
        (["run", "--jsn", "b"], "Did you mean '--json'?"),
        (["run"], "Missing argument 'BUNDLE' (see edge-tx run --help)"),
        (["verify", "b", "--threads", "0"], "0 is not in the range x>=1"),
        (["export", "m"], "Missing option '-o'"),
        (["completion", "csh"], "'csh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_usage_errors_are_one_line(edge_tx: Call, args: list[str], said: str) -> None:
    done = edge_tx(*args)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("edge-tx: error: ")
    assert said in done.err


def every_error() -> list[type[errors.EdgeTxError]]:
    kinds = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in kinds if issubclass(kind, errors.EdgeTxError)]


@pytest.mark.parametrize("kind", every_error())
def test_our_errors_keep_their_code_and_one_line(kind: type[errors.EdgeTxError]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "first\nsecond")
    failure = explain(error)
    assert failure.lines == ("edge-tx: error: first second",)
    assert failure.exit_code == kind.exit_code


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EISDIR])
def test_the_systems_errors_name_the_file(number: int) -> None:
    failure = explain(OSError(number, os.strerror(number), "some/file"))
    [line] = failure.lines
    assert "some/file" in line
    assert os.strerror(number) in line
    assert failure.exit_code == failures.SYSTEM


def test_bugs_say_that_they_are(monkeypatch: pytest.MonkeyPatch, edge_tx: Call) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("edge_tx.doctor.examine", broken)
    done = edge_tx("doctor")
    assert done.code == failures.INTERNAL
    assert "ZeroDivisionError: oh" in done.err
    assert "EDGE_TX_TRACEBACK=1" in done.err
    assert "Traceback" not in done.err
    monkeypatch.setenv("EDGE_TX_TRACEBACK", "1")
    assert "Traceback" in edge_tx("doctor").err


@pytest.mark.parametrize(
    ("error", "code"),
    [(click.Abort(), failures.INTERRUPTED), (MemoryError(), failures.NO_MEMORY)],
)
def test_other_ends(error: Exception, code: int) -> None:
    assert explain(error).exit_code == code


def test_no_two_kinds_of_end_share_a_code() -> None:
    ours = {kind.exit_code for kind in every_error()}
    rest = [failures.INTERNAL, failures.NO_MEMORY, failures.SYSTEM, failures.INTERRUPTED]
    assert len(ours.union(rest)) == len(ours) + len(rest)


def test_no_verb_is_the_help(edge_tx: Call) -> None:
    done = edge_tx()
    assert (done.code, done.err) == (0, "")
    assert done.out == edge_tx("--help").out


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        ("run {b} <&-", 0, b""),
        ("tasks >&-", 0, b""),
        ("batch {b} - --input-format text -q -o {o} --output-format jsonl --json <&-", 0, b"{"),
    ],
)
def test_closed_streams_are_empty_ones(
    words: str, code: int, out: bytes, fake_bundle: Call, tmp_path: Path
) -> None:
    line = words.format(b=fake_bundle("text-classification"), o=tmp_path / "out")
    done = subprocess.run(
        f"{sys.executable} -m edge_tx {line}", shell=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, b"")
    assert done.stdout.startswith(out)


def test_characters_that_the_terminal_lacks_are_no_failure(
    fake_bundle: Call, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "edge_tx", "run", str(fake_bundle("text-classification"))]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*command, "東京 is a city " * 20], capture_output=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_reader_that_leaves_early_ends_quietly(fake_bundle: Call, tmp_path: Path) -> None:
    bundle = fake_bundle("text-classification")
    texts = tmp_path / "texts.txt"
    texts.write_text("a good film\n" * 20_000, encoding="utf-8")
    command = [sys.executable, "-m", "edge_tx", "run", str(bundle), "--file", str(texts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_ctrl_c_ends_with_130(fake_bundle: Call, tmp_path: Path) -> None:
    pipe = tmp_path / "texts"
    os.mkfifo(pipe)
    bundle = fake_bundle("text-classification")
    command = [sys.executable, "-m", "edge_tx", "run", str(bundle), "--file", str(pipe)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's job in the background ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        writer = pipe.open("wb")  # returns when the command has begun to read
        process.send_signal(signal.SIGINT)
        try:
            _out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # of one that has ended, nothing
            writer.close()
    assert process.returncode == 130
    assert err.decode().strip().splitlines() == ["edge-tx: error: interrupted"]
