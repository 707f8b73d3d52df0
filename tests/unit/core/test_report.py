from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx.errors import InvalidConfig, UnknownName
from edge_tx.manifest import Parity
from edge_tx.report import FORMATS, Report, ReportContext, ReportRow, render
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
    throughput=412.5,
    peak_rss_bytes=250_000_000,
    samples_ns=SAMPLES,
)
REPORT = Report(
    ReportContext(
        device={"cpu": {"model": "x", "cores": 2}, "accelerators": []},
        versions={"edge_tx": "0.1.0"},
        created="2026-01-02T03:04:05+00:00",
        model="all-MiniLM-L6-v2 [red]",
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
    bare = replace(REPORT, rows=(replace(ROW, peak_rss_bytes=None),))
    assert "peak MB" not in render(bare)
    assert "peak MB" in render(REPORT)


def test_csv_has_a_line_per_row_in_raw_units() -> None:
    lines = list(csv.DictReader(io.StringIO(render(REPORT, "csv"))))
    assert [line["graph"] for line in lines] == ["onnx-fp32", "onnx-int8"]
    assert lines[0]["latency_p50_ns"] == "2000000"
    assert lines[0]["parity_max_abs_error"] == "3.1e-07"
    assert lines[1]["latency_p50_ns"] == lines[1]["load_ns"] == ""


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_report_without_rows_renders(name: str) -> None:
    assert render(replace(REPORT, rows=()), name)


def test_an_unknown_format_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="did you mean 'csv'"):
        render(REPORT, "cvs")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema=2), "newer"),
        (lambda r: r.update(schema=0), "schema"),
        (lambda r: r["rows"][0].update(status="great"), r"rows\[0\]\.status"),
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


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_fuzz(text: str) -> None:
    with pytest.raises(InvalidConfig):
        Report.from_json(text)
