from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.manifest import Parity
from edge_tx.report import (
    Conditions,
    Energy,
    Memory,
    Noise,
    Phases,
    Report,
    ReportContext,
    ReportModel,
    ReportRow,
    ScenarioResult,
    Surroundings,
    ThreadBudget,
    Window,
)
from edge_tx.report_files import check_names, write
from edge_tx.report_formats import FORMATS, SUFFIXES, render
from edge_tx.stats import LatencyStats

SAMPLES = (3_000_000, 1_000_000, 2_000_000)
ROW = ReportRow(
    graph="onnx-fp32",
    backend="onnx",
    precision="fp32",
    threads=2,
    batch=1,
    seq=0,
    size_bytes=90_400_000,
    parity=Parity(20, 3.1e-7, 0.9999999, 1.0),
    load_ns=210_000_000,
    first_answer_ns=9_000_000,
    latency=LatencyStats.of(SAMPLES),
    model="minilm",
    accuracy={"spearman": 0.8203},
    throughput=400.0,
    list_throughput=412.5,
    memory=Memory(250_000_000, 200_000_000, 210_000_000, 150_000_000, 60_000_000, 140_000_000),
    phases=Phases(*[LatencyStats.of([1, 2, 3])] * 3),
    energy=Energy("RAPL package-0", 3.5, 0.01),
    budget=ThreadBudget(2, 2, 5, 1.9),
    surroundings=Surroundings(0.1, 0.0, 1.5),
    scenarios=(
        ScenarioResult(
            "SingleStream",
            "edge_tx",
            "p90 latency",
            "ms",
            3.0,
            3,
            1,
            6_000_000,
            LatencyStats.of(SAMPLES),
            samples_ns=SAMPLES,
        ),
    ),
    sustained=(Window(0, LatencyStats.of(SAMPLES), 54.5),),
    samples_ns=SAMPLES,
    repeats_ns=(SAMPLES,),
)
REPORT = Report(
    ReportContext(
        device={"cpu": {"model": "x", "cores": 2}, "accelerators": []},
        versions={"edge_tx": "0.1.0"},
        created="2026-01-02T03:04:05+00:00",
        models=(ReportModel("all-MiniLM-L6-v2 [red]", "sentence-embedding", "x", "x.bundle"),),
        before=Conditions("performance", True, 2500.0, (0.1, 0.2, 0.3), 40.0, 0, 0, 1),
        noise=Noise(1, 0.01, True, "quiet machine: it differed by 1.0%"),
        unmeasured={"GPU memory": "no driver"},
        remarks=("one [b] remark",),
        settings={"seed": 0},
    ),
    (ROW, ReportRow("onnx-int8", "onnx", "int8", 2, 1, 128, 1, note="[b]no", status="failed")),
)


def test_json_loses_nothing() -> None:
    assert Report.from_json(REPORT.to_json()) == REPORT


def test_the_terminal_shows_units_and_takes_no_markup() -> None:
    text = render(REPORT)
    for wanted in ("onnx-fp32", "90.4", "2.00", "412", "mixed", "[red]", "failed: [b]no", "p50 ms"):
        assert wanted in text


def test_columns_without_a_value_are_left_out() -> None:
    bare = replace(REPORT, rows=(replace(ROW, memory=None),))
    assert "peak MB" not in render(bare)
    assert "peak MB" in render(REPORT)


def test_csv_has_no_columns_for_what_has_no_place_in_a_line() -> None:
    head = render(REPORT, "csv").partition("\n")[0].split(",")
    assert not [name for name in head if name.startswith(("scenarios", "sustained", "stretches"))]


def test_csv_has_a_line_per_row_in_raw_units() -> None:
    lines = list(csv.DictReader(io.StringIO(render(REPORT, "csv"))))
    assert [line["graph"] for line in lines] == ["onnx-fp32", "onnx-int8"]
    assert lines[0]["latency_p50_ns"] == "2000000"
    assert lines[0]["parity_max_abs_error"] == "3.1e-07"
    assert lines[0]["memory_peak_bytes"] == "250000000"
    assert lines[0]["phases_inference_p50_ns"] == "2"
    assert lines[0]["accuracy_spearman"] == "0.8203"
    assert lines[1]["latency_p50_ns"] == lines[1]["load_ns"] == lines[1]["memory_peak_bytes"] == ""


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_report_without_rows_renders(name: str) -> None:
    assert render(replace(REPORT, rows=()), name)


def test_an_unknown_format_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="did you mean 'csv'"):
        render(REPORT, "cvs")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema=3), "newer"),
        (lambda r: r.update(schema=1), "older than 2: measure again"),
        (lambda r: r.update(schema="2"), "schema"),
        (lambda r: r["rows"][0].update(status="great"), r"rows\[0\]\.status"),
        (lambda r: r["rows"][0].update(failure="sad"), r"rows\[0\]\.failure"),
        (lambda r: r["rows"].append(r["rows"][0]), r"rows\[2\]: is the same cell"),
        (lambda r: r["rows"][0]["repeats_ns"].append([-1]), r"repeats_ns\[1\]"),
        (lambda r: r["rows"][0].update(inputs=0), "inputs: expected 1"),
        (
            lambda r: r["rows"][0].update(
                stretches=[{"calls": 1, "loops_ns": [1], "handovers_ns": []}]
            ),
            "stretches: do not cover",
        ),
        (
            lambda r: r["rows"][0].update(repeats_stretches=[[]] * 9),
            "repeats_stretches: are not as many",
        ),
        (lambda r: r["rows"][0]["scenarios"][0]["samples_ns"].append(9), "is not that of"),
        (lambda r: r["rows"][0].update(batch=-1), r"rows\[0\]\.batch"),
        (lambda r: r["rows"][0].update(colour=1), "unknown key 'colour'"),
        (lambda r: r["rows"][0]["samples_ns"].append(9), "is not that of the samples"),
        (lambda r: r["rows"][0].update(parity=3), r"parity: expected an object or null, got 3"),
        (lambda r: r["rows"][0]["parity"].pop("texts"), r"rows\[0\]\.parity: key 'texts'"),
        (lambda r: r["context"]["device"].update(x=[float("nan")]), "NaN is not a JSON number"),
    ],
)
def test_what_is_wrong_is_named(change: Any, message: str) -> None:
    value = json.loads(REPORT.to_json())
    change(value)
    with pytest.raises(InvalidConfig, match=message):
        Report.from_json(json.dumps(value))


def test_files_look_as_their_names_end(tmp_path: Path) -> None:
    names = [str(tmp_path / f"report{suffix}") for suffix in SUFFIXES]
    check_names(names)
    assert list(write(REPORT, names)) == names
    assert Report.from_file(tmp_path / "report.json") == REPORT
    assert (tmp_path / "report.csv").read_text(encoding="utf-8").startswith("graph,")


@pytest.mark.parametrize("name", ["report.exe", "report", "no/such/folder/report.json"])
def test_a_name_that_cannot_be_written_is_told_at_once(name: str) -> None:
    with pytest.raises(InvalidConfig, match=name):
        check_names([name])


@pytest.mark.parametrize("contents", [None, b"\xff\xfe", b"{}"])
def test_a_file_that_is_no_report_is_named(contents: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(InvalidConfig, match=r"old\.json"):
        Report.from_file(path)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_fuzz(text: str) -> None:
    with pytest.raises(InvalidConfig):
        Report.from_json(text)
