"""Batch jobs from end to end: every format, bad rows, and what is left by kills and full disks."""

from __future__ import annotations

import bz2
import csv
import errno
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_tx
from edge_tx.bench.batch_crash import crash, fingerprints
from edge_tx.errors import BatchStopped, InvalidConfig, InvalidInput, UnknownName
from edge_tx.runtimes.batch_report import BatchProgress

pa = pytest.importorskip("pyarrow", reason="pip install 'edge-tx[batch]' for batch jobs")

TEXTS = [
    "the cat sat",
    "a dog",
    "good film",
    "the cat sat",
    "",
    "paris on the mat",
    "bad, bad\tcat",
]
ROWS = [{"id": index, "text": text} for index, text in enumerate(TEXTS)]

FakeBundle = Callable[..., Path]
EdgeTx = Callable[..., Any]


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def separated(delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "text"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def parquet() -> bytes:
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(ROWS), sink, row_group_size=3)
    return bytes(sink.getvalue())


def ipc(new: Callable[..., Any]) -> bytes:
    table = pa.Table.from_pylist(ROWS)
    sink = pa.BufferOutputStream()
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return bytes(sink.getvalue())


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return bytes(sink.getvalue())


INPUTS: dict[str, Callable[[], bytes]] = {
    "in.txt": lambda: "\n".join(TEXTS).encode(),
    "in.jsonl": lambda: json_lines(ROWS),
    "in.csv": lambda: separated(","),
    "in.tsv": lambda: separated("\t"),
    "in.parquet": parquet,
    "in.arrow": lambda: ipc(pa.ipc.new_file),
    "in.arrows": lambda: ipc(pa.ipc.new_stream),
    "in.csv.gz": lambda: gzip.compress(separated(",")),
    "in.jsonl.zst": lambda: zstandard(json_lines(ROWS)),
    "in.ndjson.bz2": lambda: bz2.compress(json_lines(ROWS)),
    "in.tsv.xz": lambda: lzma.compress(separated("\t")),
    "in.txt.gz": lambda: gzip.compress("\n".join(TEXTS).encode()),
}


def read(folder: Path) -> list[dict[str, Any]]:
    """All rows of an output."""
    from pyarrow import parquet

    if list(folder.glob("*.parquet")):
        found: list[dict[str, Any]] = parquet.read_table(folder).to_pylist()
        return found
    return [
        json.loads(line)
        for path in sorted(folder.glob("part-*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture
def embedder(fake_bundle: FakeBundle) -> Path:
    return fake_bundle("sentence-embedding")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """300 rows; every seventh repeats a text, every fiftieth is bad."""
    words = TEXTS[0].split() + TEXTS[1].split()
    rows: list[dict[str, Any]] = [
        {"id": f"r{i}", "text": " ".join(words[: i % 7 % 5 + 1])} for i in range(300)
    ]
    for bad in range(0, 300, 50):
        rows[bad]["text"] = None
    path = tmp_path / "many.jsonl"
    path.write_bytes(json_lines(rows))
    return path


@pytest.fixture
def vectors(embedder: Path) -> np.ndarray[Any, Any]:
    with edge_tx.load(embedder) as model:
        return model.embed(TEXTS)


@pytest.mark.parametrize("output_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", INPUTS)
def test_every_input_goes_to_every_output(
    name: str, output_format: str, embedder: Path, tmp_path: Path, vectors: Any
) -> None:
    source = tmp_path / name
    source.write_bytes(INPUTS[name]())
    keep = [] if "txt" in name else ["id"]
    out = tmp_path / "out"
    report = edge_tx.batch(
        embedder, source, out, keep=keep, output_format=output_format, shard_rows=3
    )
    rows = read(out)
    assert (report.rows, report.answered, report.bad, report.shards) == (7, 7, 0, 3)
    assert report.finished
    assert [row["row"] for row in rows] == list(range(7))
    assert [int(row["id"]) for row in rows if keep] == list(range(7) if keep else ())
    np.testing.assert_allclose([row["embedding"] for row in rows], vectors, rtol=1e-6)


def test_stdin_a_folder_and_a_pattern(
    embedder: Path, tmp_path: Path, edge_tx: EdgeTx, vectors: Any
) -> None:
    folder = tmp_path / "data"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(json_lines(ROWS[:2]))
    (folder / "deeper" / "b.jsonl").write_bytes(json_lines(ROWS[2:]))
    (folder / "_journal.jsonl").write_bytes(b"{}\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    stdin = json_lines(ROWS)
    asked = {
        "folder": (str(folder),),
        "pattern": (f"{folder}/**/*.jsonl",),
        "stdin": ("-", "--input-format", "jsonl"),
    }
    for name, words in asked.items():
        done = edge_tx("batch", embedder, *words, "-o", tmp_path / name, "-q", stdin=stdin)
        if name == "pattern":
            assert done.code == 0  # the journal of the folder's own is read, as it is asked for
            continue
        assert done.code == 0, done.err
        found = [row["embedding"] for row in read(tmp_path / name)]
        np.testing.assert_allclose(found, vectors, rtol=1e-6)


def test_stdin_goes_on_only_with_the_same_rows(
    embedder: Path, tmp_path: Path, edge_tx: EdgeTx
) -> None:
    words = ("batch", embedder, "-", "--input-format", "text", "-q", "--shard-rows", "2")
    data = "\n".join(TEXTS).encode()
    whole = edge_tx(*words, "-o", tmp_path / "whole", stdin=data)
    assert whole.code == 0, whole.err
    journal = (tmp_path / "whole" / "_journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "_journal.jsonl").write_bytes(b"".join(journal[:3]))
    first = "part-000000.parquet"
    (tmp_path / "cut" / first).write_bytes((tmp_path / "whole" / first).read_bytes())
    other = edge_tx(*words, "-o", tmp_path / "cut", stdin=b"something else\n" * 7)
    assert other.code == 2
    assert "stdin is not what it was" in other.err
    same = edge_tx(*words, "-o", tmp_path / "cut", stdin=data)
    assert same.code == 0, same.err
    assert fingerprints(tmp_path / "cut") == fingerprints(tmp_path / "whole")


@pytest.mark.parametrize("done", [2, 7], ids=["interrupted", "finished"])
@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (TEXTS, 0),
        (TEXTS[:1], 2),
        (["other"] * 2, 2),
        (["other"] * 7, 2),
        (["other"] * 9, 2),
        ([], 2),
    ],
    ids=["same", "fewer", "others", "as many others", "more others", "none"],
)
def test_another_stream_is_never_taken_for_the_jobs(
    lines: list[str], code: int, done: int, embedder: Path, tmp_path: Path, edge_tx: EdgeTx
) -> None:
    out = tmp_path / "out"
    words = ("batch", embedder, "-", "--input-format", "text", "-q", "--shard-rows", "2", "-o", out)
    assert edge_tx(*words, stdin="\n".join(TEXTS).encode()).code == 0
    if done == 2:
        for part in sorted(out.glob("part-*"))[1:]:
            part.unlink()
    before = {path: path.read_bytes() for path in out.glob("part-*")}
    told = edge_tx(*words, stdin="\n".join(lines).encode())
    assert told.code == code, told.err
    assert code == 0 or "stdin is not what it was" in told.err
    assert before.items() <= {path: path.read_bytes() for path in out.glob("part-*")}.items()


def test_bad_rows_are_told_with_their_place(embedder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [
        b'{"id": "a", "text": "the cat"}',
        b'{"id": "b"}',
        b'{"id": "c", "text": 3}',
        b'{"id": "d", "text": "caf\xe9"}',
        b"{broken",
        b"[1, 2]",
        b'{"id": "g", "text": "\\ud800"}',
        b'{"id": "h", "text": "' + b"cat " * 40 + b'"}',
        b'{"id": "j", "text": "a dog"}',
    ]
    source.write_bytes(b"\n".join(lines))
    report = edge_tx.batch(
        embedder, source, tmp_path / "out", id_column="id", options={"too_long": "error"}
    )
    letters = (tmp_path / "out" / "_dead_letters.jsonl").read_text(encoding="utf-8").splitlines()
    bad = [json.loads(line) for line in letters]
    reasons = [
        "no 'text'",
        "expected a text",
        "not UTF-8 (byte 0xe9",
        "not JSON",
        "not a JSON object but a list",
        "lone surrogate",
        "more than the 16",
    ]
    assert [letter["row"] for letter in bad] == [1, 2, 3, 4, 5, 6, 7]
    assert all(reason in letter["reason"] for reason, letter in zip(reasons, bad, strict=True))
    assert bad[0] == {
        "row": 1, "file": "in.jsonl", "line": 2, "id": "b", "reason": "no 'text'"
    }  # fmt: skip
    assert (report.answered, report.bad) == (2, 7)
    assert [row["id"] for row in read(tmp_path / "out")] == ["a", "j"]


def test_broken_rows_of_csv_and_of_parquet(embedder: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    (tmp_path / "in.csv").write_bytes(b'id,text\n1,cat\n2\n3,"a "b\n4,caf\xe9\n5,"dog\nran"\n')
    told = edge_tx.batch(embedder, tmp_path / "in.csv", tmp_path / "csv")
    assert (told.answered, told.bad) == (2, 3)
    broken = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.py_buffer(np.array([0, 3, 4], np.int32)), pa.py_buffer(b"cat\xe9")],
    )
    parquet.write_table(pa.table({"text": broken}), tmp_path / "in.parquet")
    told = edge_tx.batch(embedder, tmp_path / "in.parquet", tmp_path / "parquet")
    assert (told.answered, told.bad) == (1, 1)


def test_too_many_bad_rows_stop_the_job_and_more_may_be_allowed(
    embedder: Path, many: Path, tmp_path: Path, edge_tx: EdgeTx
) -> None:
    words = ("batch", embedder, many, "--shard-rows", "60", "-q", "-o")
    stopped = edge_tx(*words, tmp_path / "out", "--max-errors", "2")
    assert stopped.code == 16
    assert "3 bad rows, more than the 2" in stopped.err
    assert len((tmp_path / "out" / "_dead_letters.jsonl").read_bytes().splitlines()) == 3
    assert edge_tx(*words, tmp_path / "out").code == 0
    assert edge_tx(*words, tmp_path / "whole").code == 0
    assert fingerprints(tmp_path / "out") == fingerprints(tmp_path / "whole")


def test_another_job_is_refused_with_what_differs(
    embedder: Path, many: Path, tmp_path: Path, fake_bundle: FakeBundle
) -> None:
    out = tmp_path / "out"
    edge_tx.batch(embedder, many, out, shard_rows=60)
    before = fingerprints(out)
    other = fake_bundle("sentence-embedding", "other.bundle", max_length=12)
    copy = tmp_path / "again" / many.name
    copy.parent.mkdir()
    copy.write_bytes(many.read_bytes())
    assert edge_tx.batch(embedder, copy, out, shard_rows=60).resumed_rows == 300  # moved, the same
    copy.write_bytes(many.read_bytes().replace(b"cat", b"dog"))
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("bundle", lambda: edge_tx.batch(other, many, out, shard_rows=60)),
        ("shard_rows (60 then, 61 now)", lambda: edge_tx.batch(embedder, many, out, shard_rows=61)),
        ("inputs: many.jsonl sha256", lambda: edge_tx.batch(embedder, copy, out, shard_rows=60)),
        ("kept", lambda: edge_tx.batch(embedder, many, out, shard_rows=60, keep=["id"])),
        (
            "options.normalize",
            lambda: edge_tx.batch(embedder, many, out, shard_rows=60, options={"normalize": True}),
        ),
    ]
    for difference, call in calls:
        with pytest.raises(InvalidConfig, match="differs in") as told:
            call()
        assert difference in str(told.value)
    assert fingerprints(out) == before


def test_a_folder_with_other_files_is_refused(embedder: Path, many: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("\\end{document}")
    with pytest.raises(InvalidConfig, match="holds other files"):
        edge_tx.batch(embedder, many, tmp_path / "out")
    with pytest.raises(InvalidConfig, match="is a file"):
        edge_tx.batch(embedder, many, many)


def test_a_job_that_was_stopped_goes_on_to_the_same_bytes(
    embedder: Path, many: Path, tmp_path: Path
) -> None:
    first = edge_tx.batch(embedder, many, tmp_path / "out", shard_rows=60, stop=lambda: True)
    assert not first.finished
    assert first.rows == 60
    second = edge_tx.batch(embedder, many, tmp_path / "out", shard_rows=60)
    assert second.finished
    assert (second.rows, second.resumed_rows, second.bad) == (300, 60, 6)
    edge_tx.batch(embedder, many, tmp_path / "whole", shard_rows=60)
    assert fingerprints(tmp_path / "out") == fingerprints(tmp_path / "whole")
    third = edge_tx.batch(embedder, many, tmp_path / "out", shard_rows=60)
    assert (third.resumed_rows, third.rows, third.graph) == (300, 300, "")


def test_a_mistyped_job_that_has_no_shard_leaves_its_folder_free(
    embedder: Path, many: Path, tmp_path: Path
) -> None:
    mistakes: list[dict[str, Any]] = [{"options": {"foo": 1}}, {"graph": "typo"}]
    for mistake in mistakes:
        with pytest.raises(UnknownName):
            edge_tx.batch(embedder, many, tmp_path / "out", **mistake)
    assert edge_tx.batch(embedder, many, tmp_path / "out").finished


def test_an_output_inside_the_input_is_no_input(embedder: Path, many: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "many.jsonl").write_bytes(many.read_bytes())
    job: dict[str, Any] = {"shard_rows": 60, "output_format": "jsonl"}
    edge_tx.batch(embedder, data, data / "out", stop=lambda: True, **job)
    assert edge_tx.batch(embedder, data, data / "out", **job).rows == 300
    assert edge_tx.batch(embedder, data, data / "out", **job).resumed_rows == 300


@pytest.mark.parametrize("call", range(0, 24, 3))
def test_a_full_disk_at_any_moment_loses_nothing(
    call: int, embedder: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Iterator[int] = iter(range(1000))
    real = os.fsync

    def full(handle: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    edge_tx.batch(embedder, many, tmp_path / "whole", shard_rows=60)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(BatchStopped, match=r"No space left on device.*goes on"):
            edge_tx.batch(embedder, many, tmp_path / "out", shard_rows=60)
    edge_tx.batch(embedder, many, tmp_path / "out", shard_rows=60)
    assert fingerprints(tmp_path / "out") == fingerprints(tmp_path / "whole")


def test_a_lost_shard_is_made_again(embedder: Path, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    edge_tx.batch(embedder, many, out, shard_rows=60)
    before = fingerprints(out)
    (out / "part-000002.parquet").unlink()
    report = edge_tx.batch(embedder, many, out, shard_rows=60)
    assert report.resumed_rows == 120
    assert fingerprints(out) == before


def test_a_repair_that_was_stopped_keeps_dead_letters(
    embedder: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    edge_tx.batch(embedder, many, out, shard_rows=60)
    before, letters = fingerprints(out), (out / "_dead_letters.jsonl").read_bytes()
    (out / "part-000000.parquet").unlink()
    edge_tx.batch(embedder, many, out, shard_rows=60, stop=lambda: True)
    edge_tx.batch(embedder, many, out, shard_rows=60)
    assert fingerprints(out) == before
    assert (out / "_dead_letters.jsonl").read_bytes() == letters


def test_a_lost_report_is_written_again(embedder: Path, many: Path, tmp_path: Path) -> None:
    edge_tx.batch(embedder, many, tmp_path / "out")
    (tmp_path / "out" / "_report.json").unlink()
    edge_tx.batch(embedder, many, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "_report.json").read_bytes())
    assert (report["rows"], report["bad"]) == (300, 6)


def test_kills_leave_an_undisturbed_runs_bytes(embedder: Path, many: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_tx", "batch", str(embedder), str(many), "-q"]
    outcome = crash([*command, "--shard-rows", "4"], tmp_path / "work", kills=3, seed=3)
    assert outcome.kills == 3
    assert outcome.files == 76  # 75 shards and the dead letters
    assert outcome.different == ()


# A process of its own, which is asked to stop in the middle of its first output file.
INTERRUPTED = """
import signal, sys
from edge_tx.cli.app import main
from edge_tx.runtimes import batch_run

say, once = batch_run.Run._say, iter([True])

def interrupted(run):
    if next(once, False):
        signal.raise_signal(signal.SIGINT)
    say(run)

batch_run.Run._say = interrupted
main()
"""


def test_ctrl_c_stops_at_a_shards_edge_and_says_how_to_go_on(
    embedder: Path, many: Path, tmp_path: Path, edge_tx: EdgeTx
) -> None:
    words = ("batch", embedder, many, "--shard-rows", "20", "-o")
    command = [sys.executable, "-c", INTERRUPTED, *map(str, words), str(tmp_path / "out")]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert "the same command goes on" in stopped.stderr
    assert 0 < len(list((tmp_path / "out").glob("part-*"))) < 15
    assert edge_tx(*words, tmp_path / "out").code == 0
    assert edge_tx(*words, tmp_path / "whole").code == 0
    assert fingerprints(tmp_path / "out") == fingerprints(tmp_path / "whole")


def test_types_of_embeddings(embedder: Path, many: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    for kind in ("float32", "float16", "int8"):
        edge_tx.batch(embedder, many, tmp_path / kind, embedding_type=kind)
    tables = {kind: parquet.read_table(tmp_path / kind) for kind in ("float32", "float16", "int8")}
    full = np.stack(tables["float32"]["embedding"].to_numpy(zero_copy_only=False))
    scales = tables["int8"]["embedding_scale"].to_numpy()[:, None]
    small = np.stack(tables["int8"]["embedding"].to_numpy(zero_copy_only=False))
    assert tables["float16"].schema.field("embedding").type == pa.list_(pa.float16(), 6)
    assert tables["int8"].schema.field("embedding").type == pa.list_(pa.int8(), 6)
    assert np.abs(small * scales - full).max() <= scales.max() / 2 + 1e-6
    metadata = tables["float32"].schema.metadata
    with edge_tx.load(embedder) as model:
        assert metadata[b"edge_tx.stamp"].decode() == model.stamp


def test_kept_columns_keep_their_types_and_clashing_ones_get_a_name(
    fake_bundle: FakeBundle, tmp_path: Path
) -> None:
    bundle = fake_bundle("text-classification")
    rows: list[dict[str, Any]] = [
        {"text": "cat", "label": "x", "n": 1, "f": 1, "o": {"a": [1]}, "b": True},
        {"text": "dog", "label": None, "n": 2, "f": 0.5, "o": None, "b": False},
    ]
    (tmp_path / "in.jsonl").write_bytes(json_lines(rows))
    edge_tx.batch(
        bundle, tmp_path / "in.jsonl", tmp_path / "out", keep=["label", "n", "f", "o", "b"]
    )
    found = read(tmp_path / "out")
    assert [row["input_label"] for row in found] == ["x", None]
    assert [(row["n"], row["f"], row["b"]) for row in found] == [(1, 1.0, True), (2, 0.5, False)]
    assert found[0]["o"] == '{"a": [1]}'
    with edge_tx.load(bundle) as model:
        assert [row["label"] for row in found] == [model(row["text"]).label for row in rows]


def test_kept_columns_never_clash_with_each_other(embedder: Path, tmp_path: Path) -> None:
    rows = [{"text": "cat", "row": "a", "input_row": "b"}]
    (tmp_path / "in.jsonl").write_bytes(json_lines(rows))
    edge_tx.batch(embedder, tmp_path / "in.jsonl", tmp_path / "out", keep=["row", "input_row"])
    found = read(tmp_path / "out")[0]
    assert (found["row"], found["input_input_row"], found["input_row"]) == (0, "a", "b")


@pytest.mark.parametrize("output_format", ["parquet", "jsonl"])
def test_times_that_python_has_no_value_for_are_kept(
    output_format: str, embedder: Path, tmp_path: Path
) -> None:
    from pyarrow import parquet

    late = pa.array([10**14], pa.int64()).cast(pa.timestamp("s"))  # of the year 3170843
    when = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    table = pa.table({"text": ["cat"], "when": when, "late": late})
    parquet.write_table(table, tmp_path / "in.parquet")
    keep: dict[str, Any] = {"keep": ["when"], "output_format": output_format}
    report = edge_tx.batch(embedder, tmp_path / "in.parquet", tmp_path / "out", **keep)
    assert (report.answered, report.bad) == (1, 0)
    if output_format == "parquet":
        path = tmp_path / "out" / "part-000000.parquet"
        assert parquet.read_table(path)["when"].equals(table["when"])
    else:
        assert read(tmp_path / "out")[0]["when"] == "2023-11-14 22:13:20.123456789"
    report = edge_tx.batch(embedder, tmp_path / "in.parquet", tmp_path / "two", keep=["late"])
    assert (report.answered, report.bad) == (0, 1)


def test_kept_columns_must_agree_from_file_to_file(embedder: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    data = tmp_path / "data"
    data.mkdir()
    for name, x in (("a", [1]), ("b", ["one"])):
        parquet.write_table(pa.table({"text": ["cat"], "x": x}), data / f"{name}.parquet")
    with pytest.raises(InvalidInput, match=r"'x' is string in b\.parquet, and int64 in a\.parquet"):
        edge_tx.batch(embedder, data, tmp_path / "out", keep=["x"])
    assert edge_tx.batch(embedder, data, tmp_path / "out").answered == 2


def test_what_json_cannot_hold_is_told_or_null(embedder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"text": "cat", "meta": {"x": "\\ud800"}}\n{"text": "cat", "meta": {"x": [1e400]}}\n'
    )
    report = edge_tx.batch(
        embedder, tmp_path / "in.jsonl", tmp_path / "out", keep=["meta"], output_format="jsonl"
    )
    assert (report.answered, report.bad) == (1, 1)
    assert read(tmp_path / "out")[0]["meta"] == {"x": [None]}
    assert "Infinity" not in (tmp_path / "out" / "part-000000.jsonl").read_text()


def test_a_long_cell_of_csv_is_one_row(embedder: Path, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [["text"], ["first"], ["a line of a long document\n" * 6000], ["last"]]
        csv.writer(file).writerows(rows)
    report = edge_tx.batch(embedder, tmp_path / "in.csv", tmp_path / "out")
    assert (report.rows, report.answered, report.truncated) == (3, 3, 1)


def test_pairs_and_named_columns(fake_bundle: FakeBundle, tmp_path: Path) -> None:
    bundle = fake_bundle("text-ranking")
    rows = [{"q": "cat", "d": "dog sat"}, {"q": "a film", "d": "paris"}]
    (tmp_path / "in.jsonl").write_bytes(json_lines(rows))
    edge_tx.batch(bundle, tmp_path / "in.jsonl", tmp_path / "out", text="q", text_pair="d")
    with edge_tx.load(bundle) as model:
        expected = [model((row["q"], row["d"])).score for row in rows]
    assert [row["score"] for row in read(tmp_path / "out")] == pytest.approx(expected)
    with pytest.raises(InvalidConfig, match="no column 'body' in the input; it has q, d"):
        edge_tx.batch(bundle, tmp_path / "in.jsonl", tmp_path / "no", text="body", text_pair="d")
    with pytest.raises(InvalidConfig, match="needs the columns query"):
        edge_tx.batch(bundle, tmp_path / "in.jsonl", tmp_path / "no")


def test_a_named_column_may_hold_texts_or_words(fake_bundle: FakeBundle, tmp_path: Path) -> None:
    bundle = fake_bundle("token-classification")
    rows: list[dict[str, Any]] = [{"body": "the cat sat"}, {"body": ["the", "cat", "sat"]}]
    (tmp_path / "in.jsonl").write_bytes(json_lines(rows))
    report = edge_tx.batch(bundle, tmp_path / "in.jsonl", tmp_path / "out", text="body")
    assert (report.answered, report.bad) == (2, 0)
    one, other = read(tmp_path / "out")
    assert one["entities"] == other["entities"]


def test_a_memory_ceiling_changes_nothing_but_rounding(
    embedder: Path, many: Path, tmp_path: Path
) -> None:
    edge_tx.batch(embedder, many, tmp_path / "free", shard_rows=60)
    edge_tx.batch(embedder, many, tmp_path / "held", shard_rows=60, max_rss="8G")
    free, held = read(tmp_path / "free"), read(tmp_path / "held")
    assert [row["row"] for row in free] == [row["row"] for row in held]
    difference = np.subtract([r["embedding"] for r in free], [r["embedding"] for r in held])
    assert np.abs(difference).max() <= 1e-6
    with pytest.raises(InvalidConfig, match="the model alone takes"):
        edge_tx.batch(embedder, many, tmp_path / "no", max_rss="1M")


MEMORY = """
import sys
import edge_tx
from edge_tx.runtimes.batch_memory import usage
report = edge_tx.batch(*sys.argv[1:])
print(report.peak_rss_bytes, usage().peak)
"""


def test_the_reports_memory_is_the_process_with_its_last_shard(
    fake_bundle: FakeBundle, tmp_path: Path
) -> None:
    # One shard, which is written when all rows are answered: 300 rows of 4,000 scores.
    bundle = fake_bundle("text-classification", labels=4000)
    rows = [{"text": " ".join(["cat"] * (1 + i % 9)), "n": i} for i in range(300)]
    (tmp_path / "in.jsonl").write_bytes(json_lines(rows))
    words = [bundle, tmp_path / "in.jsonl", tmp_path / "out"]
    command = [sys.executable, "-c", MEMORY, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told, seen = map(int, done.stdout.split())
    assert 0.97 * seen <= told <= seen


def test_an_empty_input_gives_one_empty_shard(embedder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"")
    report = edge_tx.batch(embedder, tmp_path / "in.txt", tmp_path / "out")
    assert (report.rows, report.shards, report.finished) == (0, 1, True)
    assert read(tmp_path / "out") == []


def test_progress_and_the_report(
    embedder: Path, many: Path, tmp_path: Path, edge_tx: EdgeTx
) -> None:
    import edge_tx as package

    told: list[BatchProgress] = []
    package.batch(embedder, many, tmp_path / "a", shard_rows=100, progress=told.append)
    assert [(now.rows, now.total) for now in told] == [(100, 300), (200, 300), (300, 300)]
    assert told[-1].bad == 6
    done = edge_tx("batch", embedder, many, "-o", tmp_path / "b", "--json")
    report = json.loads(done.out)
    assert (report["rows"], report["bad"], report["finished"]) == (300, 6, True)
    assert report["repeated"] > 200
    assert json.loads((tmp_path / "b" / "_report.json").read_bytes())["rows"] == 300
    shown = edge_tx("batch", embedder, many, "-o", tmp_path / "b")
    assert "300, 300 of them by earlier runs" in shown.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nowhere.jsonl",), 11, "no input at nowhere.jsonl"),
        (("-",), 2, "stdin has no name to tell its format by"),
        (("IN", "--max-rss", "much"), 2, "max_rss must be a size such as 600M"),
        (("IN", "--keep", "id,date"), 2, "no column 'date'"),
        (("IN", "--option", "colour=red"), 2, "unknown option of sentence-embedding"),
        (("IN", "--graph", "no"), 2, "unknown graph"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], code: int, message: str, embedder: Path, many: Path, edge_tx: EdgeTx,
    tmp_path: Path,
) -> None:  # fmt: skip
    args = [str(many) if word == "IN" else word for word in words]
    done = edge_tx("batch", embedder, *args, "-o", tmp_path / "out")
    assert (done.code, message in done.err) == (code, True), done.err
    assert len(done.err.strip().splitlines()) == 1


def test_map_is_a_stream(embedder: Path) -> None:
    taken = []

    def inputs() -> Iterator[str]:
        for index in range(20_000):
            taken.append(index)
            yield TEXTS[index % 7]

    with edge_tx.load(embedder) as model:
        results = model.map(inputs())
        first = next(results)
        np.testing.assert_array_equal(first.vector, model(TEXTS[0]).vector)
        assert len(taken) < 10_000
        assert sum(1 for _ in results) == 19_999
        with pytest.raises(InvalidInput, match="input 1: "):
            list(model.map(["cat", 3]))
        with pytest.raises(InvalidInput, match="takes a stream"):
            model.map("cat")
        with pytest.raises(InvalidInput, match=r"input 2: .* tokens, more than"):
            list(model.map(["cat", "dog", "cat " * 40], too_long="error"))


def test_lines_need_no_pyarrow_and_tables_name_what_they_need(
    embedder: Path, many: Path, tmp_path: Path, edge_tx: EdgeTx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = edge_tx("batch", embedder, many, "-o", tmp_path / "a", "--output-format", "jsonl")
    assert done.code == 0, done.err
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    for words in ((many, "-o", tmp_path / "b"), (tmp_path / "in.parquet", "-o", tmp_path / "c")):
        refused = edge_tx("batch", embedder, *words)
        assert refused.code == 3
        assert "pip install 'edge-tx[batch]'" in refused.err


class OneProcessRay:
    """Ray, as far as a job uses it, with its actors in this process; shards end out of order."""

    def __init__(self) -> None:
        self.data = self
        self.exceptions = self
        self.execution_options = self
        self.RayError = RuntimeError
        self.actors = 0

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    @property
    def DataContext(self) -> Any:  # noqa: N802 - Ray's name
        return self

    def get_current(self) -> Any:
        return self

    def ActorPoolStrategy(self, size: int) -> int:  # noqa: N802 - Ray's name
        self.actors = size
        return size

    def from_items(self, items: list[dict[str, int]], override_num_blocks: int) -> Any:
        assert len(items) == override_num_blocks
        self.items = items
        return self

    def map_batches(self, actor: Any, *, fn_constructor_args: Any, **_options: Any) -> Any:
        pool = [actor(*fn_constructor_args) for _ in range(self.actors)]
        order = sorted(self.items, key=lambda item: (item["number"] % 3, item["number"]))
        made = {
            item["number"]: pool[place % len(pool)]({"number": np.array([item["number"]])})
            for place, item in enumerate(order)
        }
        self.made = [made[item["number"]] for item in self.items]
        return self

    def iter_rows(self) -> Iterator[dict[str, str]]:
        return ({name: values[0] for name, values in batch.items()} for batch in self.made)


@pytest.mark.parametrize("begun", [False, True])
def test_shards_of_actors_are_those_of_one_process(
    begun: bool, embedder: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_tx.runtimes import batch_ray

    cluster = OneProcessRay()
    monkeypatch.setattr(batch_ray, "_ray", lambda: cluster)
    common: dict[str, Any] = {"shard_rows": 26, "id_column": "id"}
    edge_tx.batch(embedder, many, tmp_path / "here", **common)
    if begun:
        edge_tx.batch(embedder, many, tmp_path / "there", stop=lambda: True, **common)
    report = edge_tx.batch(embedder, many, tmp_path / "there", engine="ray", **common)
    assert (report.rows, report.bad, report.finished) == (300, 6, True)
    assert report.resumed_rows == 26 * begun
    assert fingerprints(tmp_path / "there") == fingerprints(tmp_path / "here")
    with pytest.raises(BatchStopped, match="3 bad rows, more than the 2"):
        edge_tx.batch(embedder, many, tmp_path / "no", engine="ray", max_errors=2, **common)


def test_the_engine_ray_says_what_it_cannot_do(
    embedder: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge_tx: EdgeTx
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    absent = edge_tx("batch", embedder, many, "-o", tmp_path / "a", "--engine", "ray")
    assert absent.code == 3
    assert "pip install 'edge-tx[ray]'" in absent.err
    from edge_tx.runtimes import batch_ray

    monkeypatch.setattr(batch_ray, "_ray", OneProcessRay)
    words = ("--engine", "ray", "--input-format", "text")
    stdin = edge_tx("batch", embedder, "-", "-o", tmp_path / "b", *words, stdin=b"cat\n")
    assert "stdin cannot be read by many processes" in stdin.err
    held = edge_tx("batch", embedder, many, "-o", tmp_path / "c", *words[:2], "--max-rss", "4G")
    assert "max_rss is of the local engine" in held.err
