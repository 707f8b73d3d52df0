from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx.errors import InvalidInput
from edge_tx.examples import layouts, read_examples
from edge_tx.records import read

ROWS = [{"text": "one", "label": "a"}, {"text": 'two, "2"\nlines', "label": "b"}]


def parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(arrow.Table.from_pylist(ROWS), path)


def gz(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(gzip.compress(data, mtime=0))


def plain(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)


JSONL = b'{"text": "one", "label": "a"}\n\n{"text": "two, \\"2\\"\\nlines", "label": "b"}\n'
TSV = b'text\tlabel\none\ta\n"two, ""2""\nlines"\tb\n'
CSV = b'text,label\r\none,a\r\n"two, ""2""\nlines",b\r\n'


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rows.jsonl", plain(JSONL)),
        ("rows.JSON", plain(b"\xef\xbb\xbf" + JSONL)),
        ("rows.jsonl.gz", gz(JSONL)),
        ("rows.csv", plain(CSV)),
        ("rows.csv.gz", gz(CSV)),
        ("rows.tsv", plain(TSV)),
        ("rows.parquet", parquet),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_rows(
    tmp_path: Path, name: str, write: Callable[[Path], Any]
) -> None:
    path = tmp_path / name
    write(path)
    assert [record.value for record in read(path)] == ROWS


@pytest.mark.parametrize("name", ["texts.txt", "texts", "texts.md"])
def test_other_files_are_a_text_a_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes("one\r\n\n two\u2028still two\n".encode())
    found = list(read(path))
    assert [record.value for record in found] == ["one", " two\u2028still two"]
    assert found[1].place == f"{path}, line 3"


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": ', r"a\.jsonl, line 2 is not JSON"),
        ("a.jsonl", b"[" * 100_000, r"line 1 is not JSON"),
        ("a.txt", b"one\ntwo \xff\n", r"a\.txt, line 2 is not UTF-8 \(byte 0xff at 5\)"),
        ("a.csv", b"text,label\na\n", r"line 2 has 1 cells where the head has 2"),
        ("a.csv", b"text,text\na,b\n", r"line 1 must name every column once"),
        ("a.csv", b"text,\na,b\n", r"line 1 must name every column once"),
        ("a.csv", b'text\n"a" b\n', r"line 2 is not CSV"),
        ("a.csv", b'text\n"a\nb\n', r"is not CSV"),
        ("a.txt.gz", b"no gzip", "is not a whole gzip file"),
        ("a.txt.gz", gzip.compress(b"text" * 999, mtime=0)[:-9], "is not a whole gzip file"),
        ("a.parquet", b"PAR1 no", "is not Parquet"),
    ],
)
def test_what_is_broken_is_said_with_its_line(
    tmp_path: Path, name: str, data: bytes, match: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=match) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InvalidInput, match="cannot read"):
            list(read(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.binary(max_size=80) | st.text('{}[]",:abc\n0\\ ', max_size=60).map(str.encode),
    suffix=st.sampled_from((".txt", ".jsonl", ".csv", ".tsv", ".csv.gz")),
)
def test_any_bytes_are_rows_or_a_one_line_error(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(data)
    try:
        list(read_examples(path, "text-classification"))
    except InvalidInput as exc:
        assert str(path) in str(exc)


@pytest.mark.parametrize(
    ("task", "value", "inputs", "label"),
    [
        ("text-classification", "a", ("a",), None),
        ("text-classification", {"sentence": "a", "label": 1}, ("a",), 1),
        ("text-classification", {"premise": "a", "hypothesis": "b", "label": 0}, (("a", "b"),), 0),
        ("text-classification", {"text": "a", "text_pair": "b"}, (("a", "b"),), None),
        ("text-classification", ["a", "b"], (("a", "b"),), None),
        ("sentence-embedding", {"text_a": "a", "text_b": "b", "score": 2.5}, ("a", "b"), 2.5),
        ("sentence-embedding", {"text": "a"}, ("a",), None),
        ("text-ranking", {"query": "q", "document": "d", "score": 1}, (("q", "d"),), 1),
        ("question-answering", ("q", "c"), (("q", "c"),), None),
        ("question-answering", {"question": "q", "context": "c", "answers": {"text": []}, "id": 3},
         (("q", "c"),), {"text": []}),
        ("token-classification", {"words": ["a", "bc"], "tags": ["O", "X"]}, ("a bc",), ["O", "X"]),
        ("token-classification", {"text": "a bc"}, ("a bc",), None),
        ("fill-mask", "a [MASK]", ("a [MASK]",), None),
    ],
)  # fmt: skip
def test_rows_become_a_tasks_inputs(
    task: str, value: Any, inputs: tuple[Any, ...], label: Any
) -> None:
    [example] = read_examples([value], task)
    assert (example.inputs, example.label) == (inputs, label)


def test_words_keep_their_places() -> None:
    [example] = read_examples([{"tokens": ["Ada", "", "L."], "tags": []}], "token-classification")
    assert example.inputs == ("Ada  L.",)
    assert example.words == ((0, 3), (4, 4), (5, 7))


@pytest.mark.parametrize(
    ("task", "value", "match"),
    [
        ("question-answering", "a text", "is a text; .* needs the columns question and context"),
        ("question-answering", {"question": "q"}, "input 1 has question; "),
        ("text-classification", {"label": 1}, "the columns text_a.* and .*, or text/sentence"),
        ("text-classification", {}, "input 1 has nothing; "),
        ("text-classification", 3, "input 1 is a int, not a text"),
        ("text-classification", ["a", "b", "c"], "input 1 is a list, not a text"),
        ("text-classification", {"text": 3}, "input 1: expected a text, got a int"),
        ("token-classification", {"tokens": "a b"}, "expected a list of words, got a str"),
        ("token-classification", {"tokens": ["a", None]}, "expected a text, got nothing"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_said(task: str, value: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        list(read_examples([value], task))


def test_a_missing_label_is_said_with_the_column_it_should_be_in() -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b"}]
    with pytest.raises(InvalidInput, match="input 2 has no label: give it a column label/"):
        list(read_examples(rows, "text-classification", labelled=True))


def test_every_task_has_a_layout() -> None:
    from edge_tx.tasks import TASKS

    assert all(layouts(task) for task in TASKS)
