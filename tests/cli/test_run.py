"""``edge-tx run``: what goes in, what comes out, where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bundle = Callable[..., Path]
Call = Callable[..., Any]


@pytest.fixture
def classifier(fake_bundle: Bundle) -> Path:
    return fake_bundle("text-classification")


def labels(out: str) -> list[str]:
    return [json.loads(line)["label"] for line in out.splitlines()]


def test_arguments_are_answered_in_order(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "good film", "bad film")
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first.endswith("  good film")
    assert second.endswith("  bad film")
    assert done.err == ""


def test_json_is_one_object_a_line(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "--json", "good film", "bad film")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [set(r) >= {"label", "score", "truncated"} for r in records] == [True, True]


@pytest.mark.parametrize("how", ["stdin", "dash", "file", "arguments"])
def test_every_way_in_gives_the_same(
    classifier: Path, edge_tx: Call, tmp_path: Path, how: str
) -> None:
    lines = ["the cat sat", "a good dog", "", "bad"]
    data = "\n".join(lines).encode() + b"\n"
    file = tmp_path / "texts.txt"
    file.write_bytes(data)
    ways = {
        "stdin": lambda: edge_tx("run", classifier, "--json", stdin=data),
        "dash": lambda: edge_tx("run", classifier, "--json", "--file", "-", stdin=data),
        "file": lambda: edge_tx("run", classifier, "--json", "--file", file),
        "arguments": lambda: edge_tx("run", classifier, "--json", "--", *lines),
    }
    done = ways[how]()
    assert done.code == 0, done.err
    wanted = edge_tx("run", classifier, "--json", "--", *lines)
    assert labels(done.out) == labels(wanted.out)
    assert len(labels(done.out)) == 4


def test_json_lines_are_pairs_texts_and_records(classifier: Path, edge_tx: Call) -> None:
    lines = b'"good film"\n\n["good film", "bad cat"]\n{"text": "good film"}\n'
    done = edge_tx("run", classifier, "--json", "--input-format", "jsonl", stdin=lines)
    assert done.code == 0, done.err
    one, _pair, record = [json.loads(line) for line in done.out.splitlines()]
    assert one == record


def test_auto_reads_brackets_that_are_no_json_as_text(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "[sic] a good film", "{a} cat")
    assert done.code == 0
    assert len(done.out.splitlines()) == 2


def test_text_format_reads_json_as_text(classifier: Path, edge_tx: Call) -> None:
    as_text = edge_tx("run", classifier, "--json", "--input-format", "text", '["a", "cat"]')
    as_pair = edge_tx("run", classifier, "--json", '["a", "cat"]')
    assert as_text.code == as_pair.code == 0
    assert as_text.out != as_pair.out


def test_query_is_paired_with_every_text(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "--json", "--query", "a cat", "good", "bad")
    pairs = edge_tx("run", classifier, "--json", '["a cat", "good"]', '["a cat", "bad"]')
    assert done.out == pairs.out != ""


def test_reranker_sorts_the_documents_of_a_query(fake_bundle: Bundle, edge_tx: Call) -> None:
    bundle = fake_bundle("text-ranking")
    done = edge_tx("run", bundle, "--json", "--query", "who sat", "the dog", "a cat", "paris")
    scores = [json.loads(line)["score"] for line in done.out.splitlines()]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


def test_few_embeddings_are_compared(fake_bundle: Bundle, edge_tx: Call) -> None:
    bundle = fake_bundle("sentence-embedding")
    done = edge_tx("run", bundle, "the cat sat", "the cat sat", "paris")
    assert "6 numbers  the cat sat" in done.out
    assert " 1.000  1.000 " in done.out
    assert "cosine" not in edge_tx("run", bundle, "the cat").out


def test_option_reaches_the_task(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "--json", "--option", "top_k=1", "good")
    assert len(json.loads(done.out)["scores"]) == 1


def test_truncation_is_a_warning(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, "--quiet", "cat " * 100)
    assert done.code == 0
    assert done.err.startswith("edge-tx: warning: 1 of 1 inputs were longer than 16 tokens")
    assert done.err.count("\n") == 1


FAILURES = {
    "no bundle": (["run", "nowhere", "x"], 8, "nowhere"),
    "unknown option of the task": (["run", "{b}", "--option", "topk=1", "x"], 2, "'top_k'"),
    "option without value": (["run", "{b}", "--option", "top_k", "x"], 11, "key=value"),
    "unknown backend": (["run", "{b}", "--backend", "onx", "x"], 2, "did you mean 'onnx'"),
    "backend not in the bundle": (["run", "{b}", "--backend", "onnx", "x"], 2, "fake"),
    "unknown graph": (["run", "{b}", "--graph", "fake-fp23", "x"], 2, "did you mean 'fake-fp32'"),
    "unknown device": (["run", "{b}", "--device", "cdua", "x"], 2, "cpu"),
    "file that is not there": (["run", "{b}", "--file", "gone.txt"], 74, "gone.txt"),
    "file and arguments": (["run", "{b}", "--file", "gone.txt", "x"], 2, "exclude"),
    "input of a wrong kind": (["run", "{b}", "[1, 2]"], 11, "input 0"),
    "not JSON": (["run", "{b}", "--input-format", "jsonl", "{"], 11, "argument 1 is not JSON"),
    "no end of brackets": (["run", "{b}", "--input-format", "jsonl", "[" * 50000], 11, "not JSON"),
    "query beside a pair": (["run", "{b}", "--query", "q", '["a", "b"]'], 2, "--query"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_one_line_and_a_code(
    classifier: Path, edge_tx: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    args, code, said = FAILURES[case]
    done = edge_tx(*(arg.replace("{b}", str(classifier)) for arg in args))
    assert done.err.startswith("edge-tx: error: "), done.err
    assert said in done.err
    assert (done.code, done.err.count("\n"), done.out) == (code, 1, "")


def test_file_that_is_not_utf8_names_the_line(
    classifier: Path, edge_tx: Call, tmp_path: Path
) -> None:
    file = tmp_path / "latin1.txt"
    file.write_bytes("good\ncafé\n".encode("latin1"))
    done = edge_tx("run", classifier, "--file", file)
    assert done.code == 11
    assert "latin1.txt, line 2 is not UTF-8 (byte 0xe9 at 4)" in done.err
    assert done.err.count("\n") == 1


def test_answers_before_a_broken_line_are_not_lost(
    classifier: Path, edge_tx: Call, tmp_path: Path
) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"good\nbad\n\xff\n")
    done = edge_tx("run", "--json", classifier, "--file", file)
    assert done.code == 11
    assert "line 3 is not UTF-8" in done.err
    assert len(done.out.splitlines()) == 2


def test_brackets_without_end_are_text(classifier: Path, edge_tx: Call) -> None:
    assert edge_tx("run", classifier, "[" * 50_000, "--option", "top_k=1").code == 0


def test_lone_surrogate_in_json_is_refused(classifier: Path, edge_tx: Call) -> None:
    done = edge_tx("run", classifier, stdin=b'["a", "\\ud800"]\n')
    assert done.code == 11
    assert "surrogate" in done.err


def test_line_separators_inside_a_text_do_not_end_it(classifier: Path, edge_tx: Call) -> None:
    data = "good\u2028film\x0bx\r\nbad\n".encode()
    assert len(labels(edge_tx("run", classifier, "--json", stdin=data).out)) == 2


def test_byte_order_mark_is_not_text(classifier: Path, edge_tx: Call) -> None:
    marked = edge_tx("run", classifier, "--json", stdin=b"\xef\xbb\xbfgood\n")
    assert marked.out == edge_tx("run", classifier, "--json", "good").out
