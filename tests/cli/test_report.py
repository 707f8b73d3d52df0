"""``edge-tx report`` and the files that ``edge-tx bench -o`` writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.report import Report, ReportContext, ReportModel, ReportRow
from edge_tx.stats import LatencyStats


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    def save(name: str) -> Path:
        row = ReportRow(
            "onnx-fp32", "onnx", "fp32", 2, 1, 0, 9, model="cats", latency=LatencyStats.of([2000])
        )
        context = ReportContext(
            device={},
            versions={},
            created="2026-01-02T03:04:05+00:00",
            models=(ReportModel("cats", "fill-mask", "cats", "cats.bundle"),),
        )
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(Report(context, (row,)).to_json(), encoding="utf-8")
        return path

    return save


@pytest.mark.parametrize(
    ("name", "sign"), [("r.html", "<!DOCTYPE html>"), ("r.md", "| graph"), ("r.csv", "graph,")]
)
def test_the_name_of_the_output_says_what_it_is(
    edge_tx: Any, saved: Any, tmp_path: Path, name: str, sign: str
) -> None:
    done = edge_tx("report", saved("a.json"), "-o", tmp_path / name)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert sign in (tmp_path / name).read_text(encoding="utf-8")


def test_without_an_output_it_is_a_table(edge_tx: Any, saved: Any) -> None:
    done = edge_tx("report", saved("a.json"))
    assert done.code == 0
    assert "onnx-fp32" in done.out


def test_a_format_goes_to_stdout(edge_tx: Any, saved: Any) -> None:
    done = edge_tx("report", saved("a.json"), "--format", "markdown")
    assert "| onnx-fp32 |" in done.out


def test_json_is_the_reports(edge_tx: Any, saved: Any, tmp_path: Path) -> None:
    done = edge_tx("report", saved("a.json"), "--json", "-o", tmp_path / "a.md")
    assert list(json.loads(done.out)) == ["a"]
    assert (tmp_path / "a.md").is_file()


def test_reports_of_the_same_name_are_told_apart_by_their_paths(edge_tx: Any, saved: Any) -> None:
    one, two = saved("x/a.json"), saved("y/a.json")
    text = edge_tx("report", one, two, "--format", "html").out
    assert f"<td>{one}</td>" in text
    assert f"<td>{two}</td>" in text


def test_the_same_report_twice_is_two_reports(edge_tx: Any, saved: Any) -> None:
    path = saved("a.json")
    done = edge_tx("report", path, path, "--format", "csv")
    assert len(done.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "context"),
        ("no", "not valid JSON"),
        ('{"schema": 1, "rows": []}', "measure again"),
        ('{"schema": 99}', "newer"),
    ],
)
def test_what_is_no_report_is_one_line(
    edge_tx: Any, tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    done = edge_tx("report", path)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "bad.json" in done.err
    assert told in done.err


def test_an_ending_that_says_nothing_is_an_error(edge_tx: Any, saved: Any, tmp_path: Path) -> None:
    done = edge_tx("report", saved("a.json"), "-o", tmp_path / "r.pdf")
    assert done.code == 2
    assert ".html" in done.err
    assert not (tmp_path / "r.pdf").exists()


def test_a_folder_that_is_not_there_is_one_line(edge_tx: Any, saved: Any, tmp_path: Path) -> None:
    done = edge_tx("report", saved("a.json"), "-o", tmp_path / "no" / "r.html")
    assert done.code == 74
    assert "no/r.html" in done.err


def test_bench_writes_the_page(edge_tx: Any, fake_bundle: Any, tmp_path: Path) -> None:
    page, texts = tmp_path / "r.html", tmp_path / "texts.txt"
    texts.write_text("the cat sat\n", encoding="utf-8")
    done = edge_tx("bench", fake_bundle("text-classification"), "--file", texts, "--seconds", 0.01,
                   "--min-calls", 2, "--repeats", 0, "-o", page)  # fmt: skip
    assert done.code == 0, done.err
    assert "fake-fp32" in page.read_text(encoding="utf-8")


def test_a_map_of_pruned_heads_is_for_html(edge_tx: Any, saved: Any, tmp_path: Path) -> None:
    layer = '{"heads": [0], "of_heads": 2, "neurons": 1, "of_neurons": 2}'
    path = tmp_path / "small.json"
    path.write_text(f'{{"layers": {{"0": {layer}}}, "removed_layers": []}}', encoding="utf-8")
    report = saved("a.json")
    assert (
        "What pruning left" in edge_tx("report", report, "--pruned", path, "--format", "html").out
    )
    done = edge_tx("report", report, "--pruned", path, "--format", "csv")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
