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

Child = Callable[[str], str]


@dataclass(frozen=True)
class Question:
    text: str


@dataclass(frozen=True)
class Reply:
    shout: str


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    """``child("body of the function") -> module``"""

    def make(body: str) -> str:
        (tmp_path / "the_child.py").write_text(f"{HEAD}    {body}\n{TAIL}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "the_child"

    return make


def test_answers_come_back_whatever_is_printed(child: Child) -> None:
    module = child("return Reply(question.text.upper())")
    assert isolation.call(module, Question("grüße"), Reply, "shouting") == Reply("GRÜSSE")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_segfault_is_an_error_that_names_it(child: Child) -> None:
    module = child("ctypes.string_at(0)")
    with pytest.raises(SessionFailed, match=r"shouting failed: its process was killed by SIGSEGV"):
        isolation.call(module, Question("x"), Reply, "shouting")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_kill_is_an_error_that_names_it(child: Child) -> None:
    module = child(f"os.kill(os.getpid(), {int(signal.SIGKILL)})")
    with pytest.raises(SessionFailed, match="killed by SIGKILL"):
        isolation.call(module, Question("x"), Reply, "shouting")


def test_an_exit_is_an_error_with_the_last_words(child: Child) -> None:
    module = child("print('out of luck', file=sys.stderr, flush=True); os._exit(3)")
    with pytest.raises(SessionFailed, match="ended with exit code 3: out of luck"):
        isolation.call(module, Question("x"), Reply, "shouting")


def test_errors_of_ours_keep_their_class(child: Child) -> None:
    module = child("raise errors.InvalidConfig('no shouting here')")
    with pytest.raises(InvalidConfig, match=r"^no shouting here$"):
        isolation.call(module, Question("x"), Reply, "shouting")


def test_errors_whose_class_takes_more_keep_their_message(child: Child) -> None:
    module = child("raise errors.UnknownName('voice', 'lowd', ['loud'])")
    with pytest.raises(SessionFailed, match="unknown voice 'lowd'; did you mean 'loud'"):
        isolation.call(module, Question("x"), Reply, "shouting")


def test_a_bug_in_the_child_is_an_error(child: Child) -> None:
    module = child("raise KeyError('oops')")
    with pytest.raises(SessionFailed, match="exit code 1: KeyError: 'oops'"):
        isolation.call(module, Question("x"), Reply, "shouting")


def test_an_answer_of_another_kind_is_refused(child: Child) -> None:
    module = child("return Question('not a reply')")
    with pytest.raises(SessionFailed, match="unknown key 'text'"):
        isolation.call(module, Question("x"), Reply, "shouting")
