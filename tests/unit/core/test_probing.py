"""Vendors' libraries are asked in processes of their own, which may crash or hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_tx.probing import Answer, ask, ask_all

MODULE = """
import os, time
def sees(): print("noise"); return ["CPU: one", "GPU: two"]
def crashes(): os.kill(os.getpid(), 11)
def hangs(): time.sleep(60)
def raises(): raise ImportError("libthing.so.1: cannot open\\nshared object")
def leaves(): os._exit(3)
"""


@pytest.fixture(autouse=True)
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    (tmp_path / "some_probes.py").write_text(MODULE)
    paths = filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_answer_stands_alone_whatever_the_library_prints() -> None:
    assert ask("some_probes:sees") == Answer(("CPU: one", "GPU: two"))


@pytest.mark.parametrize(
    ("probe", "problem"),
    [
        ("crashes", "crashed (signal 11)"),
        ("raises", "ImportError: libthing.so.1: cannot open shared object"),
        ("leaves", "ended with code 3"),
        ("not_there", "AttributeError"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(probe: str, problem: str) -> None:
    answer = ask(f"some_probes:{probe}")
    assert answer.sees == ()
    assert answer.problem.startswith(problem)
    assert "\n" not in answer.problem


def test_library_that_hangs_is_given_up() -> None:
    assert ask("some_probes:hangs", patience_s=0.5).problem == "gave no answer in 0.5 s"


def test_all_are_asked() -> None:
    answers = ask_all({"good": "some_probes:sees", "bad": "some_probes:leaves"})
    assert [(name, bool(a.problem)) for name, a in answers.items()] == [
        ("good", False),
        ("bad", True),
    ]
    assert ask_all({}) == {}
