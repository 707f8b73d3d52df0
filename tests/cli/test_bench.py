"""``edge-tx bench`` and ``edge-tx compare`` as people use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_tx.cli.tables import of_report
from edge_tx.report import Report
from edge_tx.report_formats import SUFFIXES
from edge_tx.stats import LatencyStats

Call = Callable[..., Any]

QUICK = ("-q", "--seconds", "0.001", "--min-calls", "5")


@pytest.fixture
def bundle(fake_bundle: Callable[..., Path]) -> Path:
    return fake_bundle("text-classification")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("a good film\nthe cat sat on the mat\n")
    return path


_reports: list[str] = []


@pytest.fixture
def measured(bundle: Path, texts: Path, edge_tx: Call, tmp_path: Path) -> Path:
    """A real report of two cells, measured once."""
    path = tmp_path / "report.json"
    if not _reports:
        args = ("--threads", "1", "--batch", "1,2", "-o", path)
        done = edge_tx("bench", *QUICK, bundle, "--file", texts, *args)
        assert done.code == 0, done.err
        _reports.append(path.read_text(encoding="utf-8"))
    path.write_text(_reports[0], encoding="utf-8")
    return path


def test_a_sweep_is_a_table_and_files(
    bundle: Path, texts: Path, edge_tx: Call, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"out{suffix}" for suffix in SUFFIXES]
    args = [word for path in outputs for word in ("-o", path)]
    done = edge_tx("bench", *QUICK, bundle, "--file", texts, "--seq", "8..99", "--repeats", "0",
                   "--scenario", "singlestream", *args)  # fmt: skip
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    for wanted in ("fake-fp32", "SingleStream", "p90 ", "32 tokens are more than the 16", "MB"):
        assert wanted in " ".join(done.out.split())
    assert all(path.stat().st_size for path in outputs)
    report = Report.from_file(tmp_path / "out.json")
    assert [(row.seq, row.status) for row in report.rows] == [
        (8, "ok"), (16, "ok"), (32, "skipped"), (64, "skipped"),
    ]  # fmt: skip


def test_json_is_the_report(bundle: Path, texts: Path, edge_tx: Call) -> None:
    done = edge_tx("bench", *QUICK, bundle, "--file", texts, "--json")
    report = Report.from_json(done.out)
    assert report.rows[0].samples_ns
    assert report.context.noise is not None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--threads", "two"), "--threads: 'two' is neither"),
        (("--seq", "9..1"), "--seq"),
        (("--sustain", "soon"), "--sustain"),
        (("--max-memory", "much"), "--max-memory"),
        (("-o", "report.doc"), "report.doc: a report's name ends in"),
        (("--scenario", "Offlin"), "did you mean 'Offline'"),
        (("--reference", "jax"), "unknown reference 'jax'"),
        (("--metric", "accuracy", "--data", "nothing.csv"), "nothing.csv"),
    ],
)
def test_what_is_wrong_is_one_line(
    args: tuple[str, ...], message: str, bundle: Path, edge_tx: Call
) -> None:
    done = edge_tx("bench", *QUICK, bundle, *args)
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert message in done.err
    assert done.code in (2, 11)


def test_a_cell_that_fails_is_a_row_and_an_exit_code(
    bundle: Path, texts: Path, edge_tx: Call
) -> None:
    entry = bundle / "graphs/fake-fp32/model.fake.json"
    entry.write_bytes(entry.read_bytes().swapcase())
    done = edge_tx("bench", *QUICK, bundle, "--file", texts, "--batch", "1,2")
    assert done.code == 14
    assert "failed: " in " ".join(done.out.split())
    assert "(and 1 more of 2 cells)" in done.err
    assert done.err.count("\n") == 1


def slower(path: Path, factor: float) -> Path:
    report = Report.from_file(path)
    rows = []
    for row in report.rows:
        times = tuple(int(ns * factor) for ns in row.samples_ns * 40)
        rows.append(
            replace(row, samples_ns=times, stretches=(), p50_ns=None, repeats_ns=(),
                    repeats_stretches=(), latency=LatencyStats.of(times))
        )  # fmt: skip
    other = path.with_name("other.json")
    other.write_text(replace(report, rows=tuple(rows)).to_json())
    return other


class TestCompare:
    def test_a_report_is_no_worse_than_itself(self, measured: Path, edge_tx: Call) -> None:
        done = edge_tx("compare", measured, measured)
        assert done.code == 0
        assert done.out.startswith("no regression over 5.0%: 2 same")
        assert max(map(len, done.out.splitlines())) <= 80

    def test_a_regression_is_exit_code_1(self, measured: Path, edge_tx: Call) -> None:
        other = slower(measured, 30.0)
        done = edge_tx("compare", measured, other, "--json")
        assert done.code == 1
        assert json.loads(done.out)["regressions"] == 2
        assert edge_tx("compare", other, measured).code == 0
        assert edge_tx("compare", measured, other, "--max-regression", "9999%").code == 0

    def test_markdown_is_for_a_pull_request(self, measured: Path, edge_tx: Call) -> None:
        done = edge_tx("compare", measured, slower(measured, 30.0), "--format", "markdown")
        assert done.code == 1
        assert done.out.startswith("**2 regressions")
        assert "| cell | verdict |" in done.out

    @pytest.mark.parametrize("args", [("nothing.json",), ("--max-regression", "some")])
    def test_what_is_wrong_is_one_line(
        self, args: tuple[str, ...], measured: Path, edge_tx: Call
    ) -> None:
        done = edge_tx("compare", measured, *(args if len(args) == 1 else (measured, *args)))
        assert (done.code, done.err.count("\n"), done.out) == (2, 1, "")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_cell_of_the_table_is_cut_off(width: int, measured: Path) -> None:
    from rich.console import Console

    report = Report.from_file(measured)
    console = Console(width=width, record=True, quiet=True)
    for part in of_report(report, width):
        console.print(part)
    assert "…" not in console.export_text()


@pytest.mark.export
def test_a_checkpoint_is_exported_and_held_against_torch(
    tiny_model: Any, edge_tx: Call, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="pip install 'edge-tx[export]'")
    model = tiny_model("bert", "text-classification", shallow=True)
    out = tmp_path / "report.json"
    done = edge_tx("bench", *QUICK, model, "--backend", "onnx", "--reference", "torch",
                   "--threads", "1", "--repeats", "0", "-o", out)  # fmt: skip
    assert done.code == 0, done.err
    ours, torch = Report.from_file(out).rows
    assert (ours.graph, torch.graph, torch.reference) == ("onnx-fp32", "torch-fp32", True)
    assert torch.provider == "eager"
    assert torch.samples_ns
    assert torch.size_bytes > 0
