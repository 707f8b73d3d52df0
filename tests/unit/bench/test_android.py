"""Phones: adb's command lines, and the output of LiteRT's benchmark_model.

No phone was at hand: the transcript follows the tool's documented format, and ``adb`` is a
script that keeps a folder in the phone's place.
"""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.bench import android, benchmark_model
from edge_tx.bench.android import Phone
from edge_tx.bench.benchmark_model import Runs
from edge_tx.bundle_writer import BundleWriter
from edge_tx.errors import InvalidConfig, MissingDependency, RemoteFailed, SessionFailed
from edge_tx.golden import Golden
from edge_tx.manifest import Parity, Source, TaskSettings
from edge_tx.report import Report
from edge_tx.tensors import DType, TensorSpec
from edge_tx.text import TokenizerPolicy

TRANSCRIPT = Path(__file__).resolve().parents[2] / "data" / "benchmark_model.txt"
ASKS = """ERROR: Signature not specified or incorrect for graph with multiple signatures.
ERROR:  #> Signature key: b1_s128
ERROR:  #> Signature key: b8_s64
"""
# Keeps the phone's files in $PHONE; the tool is replaced by what it would print.
ADB = """#!{python}
import os, pathlib, shutil, sys
words, phone = sys.argv[1:], pathlib.Path(os.environ["PHONE"])
with (phone / "log").open("a") as log:
    print(*words, file=log)
words = words[2:] if words[0] == "-s" else words
if words[0] == "push":
    shutil.copy(words[1], phone / pathlib.Path(words[2]).name)
elif words[0] == "pull":
    shutil.copy(phone / pathlib.Path(words[1]).name, words[2])
elif words[:2] == ["shell", "getprop"]:
    print({{"ro.product.model": "Pixel 8", "ro.build.version.release": "15"}}.get(words[2], ""))
elif len(words) == 2 and "benchmark_model" in words[1]:
    said = "chosen" if "--signature_to_run_for" in words[1] else "asks"
    shutil.copy(phone / said, phone / "output.txt")
"""


@pytest.fixture
def transcript() -> str:
    return TRANSCRIPT.read_text(encoding="utf-8")


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"not for this machine")
    return Phone(tool, serial="emulator-1", threads=4)


@pytest.fixture
def on_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transcript: str) -> Path:
    folder = tmp_path / "phone"
    folder.mkdir()
    (folder / "asks").write_text(ASKS)
    (folder / "chosen").write_text(transcript)
    script = tmp_path / "bin" / "adb"
    script.parent.mkdir()
    script.write_text(ADB.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setenv("PHONE", str(folder))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[[str], Path]:
    def make(entry: str) -> Path:
        inputs = (TensorSpec("input_ids", DType.INT64, ("batch", "seq")),)
        outputs = (TensorSpec("sentence_embedding", DType.FLOAT32, ("batch", 4)),)
        with BundleWriter(tmp_path / "phone.bundle") as writer:
            file = writer.graph_folder("tflite-fp32") / entry
            file.write_bytes(b"TFL3")
            writer.add_graph(
                name="tflite-fp32",
                backend="tflite",
                precision="fp32",
                entry=file,
                inputs=inputs,
                outputs=outputs,
                parity=Parity(texts=1, max_abs_error=0.0, min_cosine=1.0, agreement=1.0),
            )
            writer.commit(
                task="sentence-embedding",
                source=Source("cats", "0" * 64, "bert", "BertModel"),
                settings=TaskSettings(similarity="cosine"),
                tokenizer=TokenizerPolicy(max_length=16, inputs=("input_ids",), special={"pad": 0}),
                tokenizer_json="{}",
                golden=Golden(()),
            )
        return tmp_path / "phone.bundle"

    return make


def test_the_transcript_is_read(transcript: str) -> None:
    timing = benchmark_model.parse(transcript)
    assert timing.load_ns == 92_318_000
    assert timing.warm_up.first_ns == 61_250_000
    assert timing.timed == Runs(
        75, 40_010_000, 40_213_200, 39_610_000, 45_250_000, 40_050_000, 41_420_000
    )
    assert timing.memory_bytes == round(73.4102 * 1024**2)
    assert (timing.threads, timing.delegated) == (4, "539 of 548 nodes by TfLiteXNNPackDelegate")


def test_logcat_and_older_releases_are_read_too(transcript: str) -> None:
    logcat = transcript.replace("INFO: ", "07-14 13:14:52.859 22838 22838 I tflite  : ")
    assert benchmark_model.parse(logcat) == benchmark_model.parse(transcript)
    bare = transcript.replace("INFO: ", "").replace(" p5=39690 median=40050 p95=41420", "")
    older = bare.replace(
        "Memory footprint delta from the start of the tool", "Peak memory footprint"
    )
    timing = benchmark_model.parse(older)
    assert (timing.timed.p50_ns, timing.timed.p95_ns) == (None, None)
    assert timing.memory_bytes == round(73.4102 * 1024**2)


def test_runs_that_are_all_the_same_have_one_number(transcript: str) -> None:
    lines = transcript.splitlines()
    lines = ["INFO: count=1 curr=3512391" if "count=13" in line else line for line in lines]
    lines = ["INFO: count=2 curr=7(all same)" if "count=75" in line else line for line in lines]
    timing = benchmark_model.parse("\n".join(lines))
    assert timing.warm_up == Runs(1, *[3_512_391_000] * 4)
    assert timing.timed == Runs(2, *[7_000] * 4)


def test_large_means_are_printed_with_an_exponent(transcript: str) -> None:
    timing = benchmark_model.parse(transcript.replace("avg=40213.2", "avg=2.95034e+06"))
    assert timing.timed.mean_ns == 2_950_340_000


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("", "ended early"),
        ("INFO: count=1 curr=5\n", "ended early"),
        ("sh: benchmark_model: error: not executable: 32-bit ELF file", "not executable"),
        ("ERROR: Op builtin_code out of range\nBenchmarking failed.", "Benchmarking failed"),
    ],
)
def test_no_result_says_why(output: str, says: str) -> None:
    with pytest.raises(SessionFailed, match=says):
        benchmark_model.parse(output)


@given(st.text(alphabet="count=curr first avgINFO:0123456789.e+()# \n", max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        benchmark_model.parse(text)
    except SessionFailed as exc:
        assert "\n" not in str(exc)


def test_the_command_names_what_was_chosen(phone: Phone) -> None:
    words = android.command(phone, "/there/m.tflite", "b1_s128")
    assert words[1:] == [
        "--graph=/there/m.tflite",
        "--num_threads=4",
        "--num_runs=50",
        "--min_secs=3",
        "--signature_to_run_for=b1_s128",
    ]


def test_every_signature_is_a_row(
    phone: Phone, on_phone: Path, bundle: Callable[[str], Path]
) -> None:
    report = android.measure(phone, [bundle("model.tflite")])
    assert [(row.batch, row.seq, row.status) for row in report.rows] == [
        (1, 128, "ok"),
        (8, 64, "ok"),
    ]
    first = report.rows[0]
    assert first.throughput == pytest.approx(1e6 / 40213.2)
    assert (first.latency, first.memory) == (None, None)
    assert "p95 41.42 ms" in first.note
    assert report.context.device["cpu"]["model"] == "Pixel 8"
    assert Report.from_json(report.to_json()) == report
    log = (on_phone / "log").read_text().splitlines()
    assert all(line.startswith("-s emulator-1 ") for line in log)
    assert log[-1] == "-s emulator-1 shell rm -rf /data/local/tmp/edge-tx"


def test_a_graph_that_fails_is_a_row_that_says_so(
    phone: Phone, on_phone: Path, bundle: Callable[[str], Path]
) -> None:
    (on_phone / "asks").write_text("ERROR: Didn't find op for builtin opcode 'GATHER_ND'\n")
    [row] = android.measure(phone, [bundle("model.tflite")]).rows
    assert (row.status, row.failure) == ("failed", "error")
    assert "GATHER_ND" in row.note


def test_what_is_missing_is_said(
    phone: Phone,
    on_phone: Path,
    bundle: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InvalidConfig, match="no bundle holds a TFLite graph"):
        android.measure(phone, [bundle("model.onnx")])
    with pytest.raises(InvalidConfig, match="benchmark_model"):
        Phone(Path("nowhere"))
    adb = shutil.which("adb")
    assert adb is not None
    Path(adb).write_text("#!/bin/sh\necho 'adb: no devices/emulators found' >&2; exit 1\n")
    with pytest.raises(RemoteFailed, match="no devices"):
        android.measure(phone, [])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match="platform tools"):
        android.measure(phone, [])
