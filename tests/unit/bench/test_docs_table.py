"""The tables that a report's numbers become in a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_tx.bench import docs_table
from edge_tx.errors import InvalidConfig
from edge_tx.report import Memory, Noise, Report, ReportContext, ReportModel, ReportRow
from edge_tx.stats import LatencyStats


def row(graph: str, batch: int, seq: int, p50_ns: int) -> ReportRow:
    samples = (p50_ns, 9_000_000)
    return ReportRow(graph, "fake", "fp32", 2, batch, seq, 0, latency=LatencyStats.of(samples),
                     samples_ns=samples, p50_ns=p50_ns, undisturbed=0.9,
                     memory=Memory(250_000_000))  # fmt: skip


CONTEXT = ReportContext(
    device={"cpu": {"model": "A Processor"}},
    versions={"edge-tx": "1.0"},
    created="2026-01-02T03:04:05+00:00",
    models=(ReportModel("minilm", "sentence-embedding", "minilm", "minilm"),),
    noise=Noise(1, 0.01, True, "quiet machine: measured again, 1 cell differed by 1.0% at most"),
)
REPORT = Report(
    CONTEXT,
    (
        row("onnx-fp32", 1, 0, 2_000_000),
        row("tflite-fp32", 1, 0, 3_000_000),
        row("onnx-fp32", 8, 32, 5_000_000),
        ReportRow("broken", "fake", "fp32", 2, 1, 0, 0, status="failed", note="no"),
    ),
)


def test_single_texts_and_then_batches_and_lengths() -> None:
    text = docs_table.render(REPORT)
    assert "minilm on A Processor, 2 threads, 2026-01-02; edge-tx 1.0." in text
    assert "| onnx-fp32 | | | 2.00 | 9.00 | | | 250 | 90% |" in text
    assert "| | 1 × mixed | 8 × 32 |" in text
    assert "| tflite-fp32 | 3.00 | |" in text
    assert "broken" not in text
    assert text.endswith("at most.")


def test_only_the_block_is_written_anew(tmp_path: Path) -> None:
    report, document = tmp_path / "report.json", tmp_path / "doc.md"
    report.write_text(REPORT.to_json())
    document.write_text(f"# A\n{docs_table.BEGIN}\nold\n{docs_table.END}\nafter\n")
    docs_table.main([str(report), str(document)])
    once = document.read_text()
    assert once.startswith(f"# A\n{docs_table.BEGIN}\nminilm on")
    assert once.endswith(f"{docs_table.END}\nafter\n")
    assert "old" not in once
    docs_table.main([str(report), str(document)])
    assert document.read_text() == once


@pytest.mark.parametrize("text", ["", docs_table.BEGIN, f"{docs_table.END}{docs_table.BEGIN}"])
def test_a_document_without_the_place_is_an_error(text: str) -> None:
    with pytest.raises(InvalidConfig, match="the document has no"):
        docs_table.replaced(text, "block")


def test_a_report_without_single_texts_is_an_error() -> None:
    with pytest.raises(InvalidConfig, match="single texts"):
        docs_table.render(Report(CONTEXT, REPORT.rows[2:]))


def test_the_document_has_its_place() -> None:
    text = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert docs_table.replaced(text, "x").count("\nx\n") == 1
