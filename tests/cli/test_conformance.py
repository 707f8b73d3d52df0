"""``edge-tx conformance``: programs that answer well, wrongly, late and not at all."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx import backends, golden, tasks
from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter

Call = Callable[..., Any]


@pytest.fixture
def bundle(fake_bundle: Callable[..., Path]) -> Path:
    """A bundle with golden answers of its own graph, and ``answers.jsonl`` beside it."""
    path = fake_bundle("text-classification")
    opened = Bundle.open(path)
    graph, manifest = opened.graph(), opened.manifest
    session = backends.open_session(
        graph.backend, opened.entry(graph), backends.SessionConfig("cpu", 1)
    )
    parts: dict[str, Any] = {
        "tokenizer": opened.tokenizer(),
        "task": tasks.create(manifest.task, manifest.settings),
        "run": session.run,
    }
    cases = tuple(golden.record(v, {}, **parts) for v in ("good film", ["a cat", "the dog"]))
    with BundleWriter(path) as writer:
        writer.adopt(opened)
        writer.commit(
            task=manifest.task,
            source=manifest.source,
            settings=manifest.settings,
            tokenizer=manifest.tokenizer,
            tokenizer_json=opened.tokenizer_json(),
            golden=golden.Golden(cases),
        )
    lines = [
        json.dumps(
            {
                "ids": list(case.rows[0].ids),
                "outputs": {n: list(a.values) for n, a in case.rows[0].outputs.items()},
            }
        )
        for case in cases
    ]
    (path.parent / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def program(text: str) -> str:
    return shlex.join([sys.executable, "-c", text])


def test_a_program_that_answers_right_passes(bundle: Path, edge_tx: Call) -> None:
    say = program(f"print(open({str(bundle.parent / 'answers.jsonl')!r}).read())")
    done = edge_tx("conformance", bundle, "--exec", say, "--require-ids")
    assert done.code == 0, done.err
    assert "2 of 2 right" in done.out
    record = json.loads(edge_tx("conformance", bundle, "--exec", say, "--json").out)
    assert record["ok"]
    assert record["failures"] == []
    assert record["ids_told"] == record["cases"] == 2


@pytest.mark.parametrize(
    ("text", "options", "code", "said"),
    [
        ('for _ in range(2): print(\'{"outputs": {"logits": [9, 9]}}\')', (), 6, "is off by"),
        ("pass", (), 6, "no answer"),
        ("print('hello')", (), 14, "not valid JSON"),
        ("import sys; sys.exit('wrong version')", (), 14, "exit code 1: wrong version"),
        ("import time; time.sleep(60)", ("--timeout", "0.5"), 14, "not done after 0.5 s"),
    ],
)
def test_every_other_fails_with_a_line(
    bundle: Path, edge_tx: Call, text: str, options: tuple[str, ...], code: int, said: str
) -> None:
    done = edge_tx("conformance", bundle, "--exec", program(text), "--json", "-q", *options)
    assert done.code == code
    [line] = done.err.splitlines()
    assert line.startswith("edge-tx: error: the program does not conform: ")
    assert said in line
    assert not json.loads(done.out)["ok"]


def test_no_such_program(bundle: Path, edge_tx: Call) -> None:
    done = edge_tx("conformance", bundle, "--exec", "no-such-program", "-q")
    assert done.code == 2
    assert "cannot start 'no-such-program'" in done.err


def test_a_bundle_with_nothing_to_ask(fake_bundle: Callable[..., Path], edge_tx: Call) -> None:
    done = edge_tx("conformance", fake_bundle("text-ranking"), "--exec", "true", "-q")
    assert done.code == 2
    assert "no golden case" in done.err
