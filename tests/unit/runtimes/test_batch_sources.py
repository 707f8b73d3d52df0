"""Rows come out of every format as they went in, from any row on, and broken ones with a reason."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.runtimes.batch_columns import resolve
from edge_tx.runtimes.batch_formats import FORMATS
from edge_tx.runtimes.batch_sources import find

# No lone surrogates, which are not text; no NUL, which CSV has no way to write.
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
ROWS = st.lists(st.fixed_dictionaries({"id": TEXT, "text": TEXT}), max_size=12)
SAME_FOLDER = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)


def as_json_lines(rows: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_csv(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["id", "text"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@SAME_FOLDER
@given(rows=ROWS, start=st.integers(0, 13))
@pytest.mark.parametrize(("name", "write"), [("in.jsonl", as_json_lines), ("in.csv", as_csv)])
def test_rows_come_back_from_any_row_on(
    name: str, write: Callable[..., bytes], rows: Any, start: int, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(write(rows))
    source = find(tmp_path / name, "auto")
    found = list(source.rows(start))
    assert [row.values for row in found] == rows[start:]
    assert [row.number for row in found] == list(range(len(rows)))[start:]
    _, total = source.identify()
    assert total is not None
    assert total >= len(rows)


@SAME_FOLDER
@given(data=st.binary(max_size=300), kind=st.sampled_from(["text", "jsonl", "csv", "tsv"]))
def test_no_bytes_stop_the_reading_of_lines(data: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"id,text\tb\n" + data)
    for row in find(tmp_path / "in", kind).rows():
        assert row.problem or isinstance(row.values, dict)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_lines(ending: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"in.jsonl{ending}"
    whole = pack(as_json_lines([{"text": str(i) * 50} for i in range(2000)]))
    path.write_bytes(whole)
    source = find(path, "auto")
    assert [row.values["text"][0] for row in islice(source.rows(5), 2)] == ["5", "6"]
    assert source.identify()[1] is None
    path.write_bytes(whole[:-20])
    with pytest.raises(InvalidInput, match="is not a whole packed file"):
        list(find(path, "auto").rows())


def test_files_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "in.txt").write_bytes(b"cat\ndog")
    one, other = (find(tmp_path / folder, "auto").identify() for folder in ("a", "b"))
    assert one == other
    assert one[1] == 2
    (tmp_path / "b" / "in.txt").write_bytes(b"cat\ndig")
    assert find(tmp_path / "b", "auto").identify() != one


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'parquet'"):
        find(tmp_path, "parket")
    with pytest.raises(InvalidInput, match="no input at"):
        find(tmp_path, "auto")
    (tmp_path / "in.csv").write_bytes(b"text,text\na,b\n")
    with pytest.raises(InvalidInput, match="must name every column once"):
        list(find(tmp_path / "in.csv", "auto").rows())
    with pytest.raises(InvalidConfig, match="stdin goes alone"):
        find(["-", tmp_path / "in.csv"], "csv")
    assert set(FORMATS) == {"text", "jsonl", "csv", "tsv", "parquet", "arrow"}


@pytest.mark.parametrize(
    ("beginning", "kind", "later", "problem"),
    [
        ([1, 2], "int64", 0.5, "'x' is not a whole number"),
        ([1, 2], "int64", 2**63, "'x' is not a whole number"),
        ([1, 0.5], "double", "a", "'x' is not a number"),
        ([True], "bool", 1, "'x' is not true or false"),
        (["a", None], "string", 1, "'x' is not a text"),
        (["a", 1], "json", [2], ""),
        ([None], "string", "a", ""),
    ],
)
def test_kept_cells_keep_the_type_they_began_with(
    beginning: list[Any], kind: str, later: Any, problem: str
) -> None:
    rows = [{"text": "cat", "x": cell} for cell in beginning]
    columns = resolve(
        "sentence-embedding", rows, {}, text=None, text_pair=None, id_column=None, keep=["x"]
    )
    assert columns.kept[0].kind == kind
    assert columns.carried(rows[0]) == [beginning[0]]
    if problem:
        with pytest.raises(InvalidInput, match=problem):
            columns.carried({"x": later})
    else:
        assert columns.carried({"x": later}) == [later]
