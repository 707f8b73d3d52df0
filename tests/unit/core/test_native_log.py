"""Chatter of native code stays off stderr, and nothing else does."""

from __future__ import annotations

import os
import re
import sys

import pytest

from edge_tx.native_log import quiet


def test_only_chatter_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(re.compile("INFO: ")):
        os.write(2, b"INFO: a delegate was made\nWARNING: it is hot\nINFO: and used\n")
        print("INFO: said by a binding", file=sys.stderr)
        print("said by somebody else", file=sys.stderr)
    os.write(2, b"INFO: afterwards\n")
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == ["INFO: afterwards", "WARNING: it is hot", "said by somebody else"]


def test_stderr_is_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with pytest.raises(ValueError, match="inside"), quiet(re.compile("INFO: ")):
        os.write(2, b"kept\n")
        raise ValueError("inside")
    assert sys.stderr is before
    assert capfd.readouterr().err == "kept\n"


def test_bytes_that_are_no_text_pass(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with quiet(re.compile("INFO: ")):
        os.write(2, b"\xff\xfe\n")
    assert capfdbinary.readouterr().err == b"\xff\xfe\n"
