from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.report import Memory, Report, ReportRow
from edge_tx.stats import LatencyStats
from edge_tx.views.cells import Place, cells_of, number, short_names, styles
from edge_tx.views.figures import figures
from edge_tx.views.shapes import Figure


@pytest.fixture(scope="module")
def charts(full: Report) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures(cells_of({"report": full}))}


def test_accuracy_comes_first_where_there_is_some(full: Report, charts: dict[str, Figure]) -> None:
    first = next(iter(charts.values()))
    assert first.kind == "bubbles"
    assert first.y.title == "spearman"
    [panel] = first.panels
    row = next(row for row in full.rows if row.graph == "onnx-fp32" and row.seq == 0)
    [point] = panel.series[0].points
    assert row.latency is not None
    assert row.memory is not None
    assert row.memory.peak_bytes is not None
    assert (point.x, point.y) == (row.latency.p50_ns / 1e6, row.accuracy["spearman"])
    assert point.size == row.memory.peak_bytes / 1e6


def test_memory_comes_first_where_there_is_no_accuracy(full: Report) -> None:
    bare = replace(full, rows=tuple(replace(row, accuracy={}) for row in full.rows))
    first = figures(cells_of({"report": bare}))[0]
    assert first.title == "Latency against memory"
    assert len(first.panels) == 7


def test_each_metric_has_a_panel_of_its_own(full: Report) -> None:
    row = replace(full.rows[0], accuracy={"f1": 0.5, "exact": 0.4})
    [first, *_] = figures(cells_of({"report": replace(full, rows=(row,))}))
    assert [panel.name.partition(":")[0] for panel in first.panels] == ["f1", "exact"]


@pytest.mark.parametrize(
    ("key", "ticks", "panels"),
    [
        ("latency-over-sequence-length", (16, 64, 128, 256), ["2 threads, batch 1"]),
        ("memory-over-sequence-length", (16, 64, 128, 256), ["2 threads, batch 1"]),
        ("latency-over-batch-size", (1, 4, 16), ["2 threads, 64 tokens"]),
        ("throughput-over-batch-size", (1, 4, 16), ["2 threads, 64 tokens"]),
    ],
)
def test_lines_run_along_one_axis_and_hold_the_others(
    charts: dict[str, Figure], key: str, ticks: tuple[float, ...], panels: list[str]
) -> None:
    figure = charts[key]
    assert figure.x.ticks == ticks
    assert [panel.name for panel in figure.panels] == panels
    for line in figure.panels[0].series:
        assert [point.x for point in line.points] == list(ticks)


def test_an_axis_that_was_not_swept_has_no_chart(charts: dict[str, Figure]) -> None:
    assert "latency-over-threads" not in charts


def test_a_sustained_run_is_drawn_over_its_time(charts: dict[str, Figure]) -> None:
    [panel] = charts["sustained-p50_ns"].panels
    assert [point.x for point in panel.series[0].points] == [float(s) for s in range(60)]


def test_the_phases_are_bars_in_the_order_of_the_graphs(charts: dict[str, Figure]) -> None:
    [panel] = charts["phases"].panels
    assert [phase.name for phase in panel.series] == ["tokenization", "inference", "decoding"]
    assert all([p.y for p in phase.points] == [0, 1, 2, 3, 4] for phase in panel.series)
    assert panel.bars[0] == "onnx-fp32"


def test_tables_hold_what_is_drawn(charts: dict[str, Figure]) -> None:
    for figure in charts.values():
        assert all(len(row) == len(figure.table.head) for row in figure.table.rows)
        drawn = {line.name for panel in figure.panels for line in panel.series}
        if figure.kind != "bars":
            assert {row[0] for row in figure.table.rows} == drawn


def test_rows_that_did_not_run_are_not_drawn(charts: dict[str, Figure]) -> None:
    names = {s.name for f in charts.values() for p in f.panels for s in p.series}
    assert names.isdisjoint({"tensorrt-fp16", "tflite-static_w8a8", "openvino-fp16"})


samples = st.lists(st.integers(0, 10**12), min_size=2, max_size=400)


@given(times=samples)
def test_a_distribution_never_falls_and_ends_with_the_slowest_call(
    times: list[int], make_report: Callable[..., Report]
) -> None:
    row = ReportRow(
        "g", "onnx", "fp32", 1, 1, 0, 1, latency=LatencyStats.of(times), samples_ns=tuple(times)
    )
    cells = cells_of({"r": make_report([row])})
    [figure] = [f for f in figures(cells) if f.key == "distribution"]
    points = figure.panels[0].series[0].points
    assert len(points) <= 164
    assert [p.x for p in points] == sorted(p.x for p in points)
    assert [p.y for p in points] == sorted({p.y for p in points})
    assert (points[-1].x, points[-1].y) == (max(times) / 1e6, 100)


def test_styles_keep_a_backends_colour_and_tell_its_graphs_apart(full: Report) -> None:
    looks = styles(cells_of({"report": full}))
    assert looks["onnx-fp32"].color == looks["onnx-dynamic_w8"].color
    assert looks["onnx-fp32"].color != looks["openvino-fp32"].color
    assert len(set(looks.values())) == len(looks)


def test_graphs_of_one_backend_have_colours_of_their_own(full: Report) -> None:
    kept = tuple(row for row in full.rows if row.backend == "onnx")
    looks = styles(cells_of({"report": replace(full, rows=kept)}))
    assert looks["onnx-fp32"].color != looks["onnx-dynamic_w8"].color


def test_names_carry_what_tells_rows_apart(full: Report, other: Report, slower: Report) -> None:
    assert {c.name for c in cells_of({"a": full})} >= {"onnx-fp32"}
    assert {c.name for c in cells_of({"a": full, "b": other})} >= {"bge-small-en / onnx-fp32"}
    assert {c.name for c in cells_of({"a": full, "b": slower})} >= {"onnx-fp32 (b)"}


def test_owners_are_left_out_of_names_where_that_is_clear() -> None:
    assert short_names(["a__x", "b__y"]) == {"a__x": "x", "b__y": "y"}
    assert short_names(["a__x", "b__x"]) == {"a__x": "a__x", "b__x": "b__x"}


def test_memory_that_could_not_be_read_leaves_its_charts_out(full: Report) -> None:
    blind = tuple(replace(row, memory=Memory(None)) for row in full.rows)
    keys = {figure.key for figure in figures(cells_of({"r": replace(full, rows=blind)}))}
    assert not any("memory" in key for key in keys)
    assert "accuracy" in keys


def test_a_place_says_what_is_open() -> None:
    place = Place(8, 0, 1)
    assert place.text == "1 thread, batch 8, texts of mixed lengths"
    assert place.without("seq").text == "1 thread, batch 8"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0"), (0.01234, "0.0123"), (4.2, "4.2"), (99.96, "100"), (1240.4, "1,240"),
     (-3.14159, "-3.14"), (1e-12, "0")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text
