import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_tx.errors import InvalidConfig, SessionFailed
from edge_tx.runtimes import isolation

HEAD = """
import ctypes, os, sys
from dataclasses import dataclass
from edge_tx import errors
from edge_tx.runtimes import isolation

@dataclass(frozen=True)
class Question:
    text: str

@dataclass(frozen=True)
class Reply:
    shout: str

def answer(question):
    os.write(1, b"native code prints to stdout\\n")
"""
TAIL = """
if __name__ == "__main__":
    isolation.serve(Question, answer)
"""


@dataclass(frozen=True)
class Question:
    text: str


@dataclass(frozen=True)
class Reply:
    shout: str


Ask = Callable[..., Reply]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask("body of the function", text="x") -> reply``"""

    def call(body: str, text: str = "x") -> Reply:
        (tmp_path / "the_child.py").write_text(f"{HEAD}    {body}\n{TAIL}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return isolation.call("the_child", Question(text), Reply, "shouting")

    return call


def test_answers_come_back_whatever_is_printed(ask: Ask) -> None:
    assert ask("return Reply(question.text.upper())", "grüße") == Reply("GRÜSSE")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("ctypes.string_at(0)", "SIGSEGV"),
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "SIGKILL"),
    ],
)
def test_a_signal_is_an_error_that_names_it(body: str, name: str, ask: Ask) -> None:
    with pytest.raises(SessionFailed, match=f"shouting failed: its process was killed by {name}"):
        ask(body)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        pytest.param(
            "print('out of luck', file=sys.stderr, flush=True); os._exit(3)",
            SessionFailed,
            "ended with exit code 3: out of luck",
            id="an exit has its last words",
        ),
        pytest.param(
            "raise errors.InvalidConfig('no shouting here')",
            InvalidConfig,
            "^no shouting here$",
            id="errors of ours keep their class",
        ),
        pytest.param(
            "raise errors.UnknownName('voice', 'lowd', ['loud'])",
            SessionFailed,
            "unknown voice 'lowd'; did you mean 'loud'",
            id="errors whose class takes more keep their message",
        ),
        pytest.param(
            "raise KeyError('oops')",
            SessionFailed,
            "exit code 1: KeyError: 'oops'",
            id="a bug",
        ),
        pytest.param(
            "return Question('not a reply')",
            SessionFailed,
            "unknown key 'text'",
            id="an answer of another kind",
        ),
    ],
)
def test_what_goes_wrong_in_the_child_is_told(
    body: str, error: type[Exception], says: str, ask: Ask
) -> None:
    with pytest.raises(error, match=says):
        ask(body)
