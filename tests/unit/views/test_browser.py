"""The page in a real browser: it draws, sorts, filters, fits a phone, loads nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.report import Memory, Report, ReportRow
from edge_tx.stats import LatencyStats
from edge_tx.views.page import pages


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, full: Report, other: Report) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(pages({"minilm": full, "bge": other}), encoding="utf-8")
    return path


def troubles(tab: Any) -> list[Any]:
    bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    return [event for event in tab.events if event["method"] in bad]


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
def test_it_draws_without_an_error_or_a_request(
    tab: Any, file: Path, width: int, theme: str
) -> None:
    tab.open(file, width, theme)
    asked = [e for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    assert [e["params"]["request"]["url"] for e in asked] == [file.as_uri()]
    assert troubles(tab) == []
    assert tab.run("document.documentElement.dataset.theme") == theme
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    drawn = (
        "[...document.querySelectorAll('canvas')].every((c) => c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.some((value) => value))"
    )
    assert tab.run(drawn)


def column(tab: Any, title: str) -> list[str]:
    found: list[str] = tab.run(
        "(() => { const rows = [...document.querySelector('#rows').rows];"
        f"const i = [...rows[0].cells].findIndex((c) => c.textContent === '{title}');"
        "return rows.slice(1).filter((r) => !r.hidden).map((r) => r.cells[i].textContent); })()"
    )
    return found


def press(tab: Any, title: str) -> None:
    tab.run(
        "[...document.querySelectorAll('#rows thead button')]"
        f".find((b) => b.textContent === '{title}').click()"
    )


def test_numbers_sort_as_numbers_and_empty_cells_stay_below(tab: Any, file: Path) -> None:
    tab.open(file)
    for way in (1, -1):
        press(tab, "p50 ms")
        shown = column(tab, "p50 ms")
        values = [float(text.replace(",", "")) for text in shown if text]
        assert values == sorted(values, key=lambda value: way * value)
        assert len(values) > 60
        assert shown[len(values) :] == [""] * 3
    assert tab.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == (
        "descending"
    )
    press(tab, "graph")
    assert column(tab, "graph") == sorted(column(tab, "graph"))


def test_rows_are_filtered_by_words_and_by_status(tab: Any, file: Path) -> None:
    tab.open(file)
    tab.run(
        "(() => { const field = document.querySelector('#filters input');"
        "field.value = 'OpenVINO fp32'; field.dispatchEvent(new Event('input')); })()"
    )
    assert set(column(tab, "graph")) == {"openvino-fp32"}
    tab.run(
        "(() => { document.querySelector('#filters input').value = '';"
        "const kind = document.querySelector('#filters select');"
        "kind.value = 'failed'; kind.dispatchEvent(new Event('change')); })()"
    )
    assert set(column(tab, "graph")) == {"tflite-static_w8a8", "openvino-fp16"}
    told = tab.run("document.querySelector('#filters [role=status]').textContent")
    assert told == "2 of 73 rows"


def test_the_theme_a_panel_and_a_line_can_be_chosen(tab: Any, file: Path) -> None:
    tab.open(file)
    pixels = "document.querySelector('#chart-memory').toDataURL()"
    first = tab.run(pixels)
    tab.run("document.getElementById('theme').click()")
    assert tab.run("document.documentElement.dataset.theme") == "dark"
    dark = tab.run(pixels)
    tab.run(
        "(() => { const places = document.querySelector('#choose-memory select');"
        "places.value = '2'; places.dispatchEvent(new Event('change')); })()"
    )
    moved = tab.run(pixels)
    tab.run("document.querySelector('#legend-memory button').click()")
    hidden = tab.run(pixels)
    assert len({first, dark, moved, hidden}) == 4
    pressed = "document.querySelector('#legend-memory button').getAttribute('aria-pressed')"
    assert tab.run(pressed) == "false"
    assert troubles(tab) == []


def test_what_can_be_used_can_be_reached_with_the_keyboard(tab: Any, file: Path) -> None:
    tab.open(file)
    lost = (
        "[...document.querySelectorAll('button, select, input, summary, .scroll')]"
        ".filter((e) => e.tabIndex < 0).length"
    )
    assert tab.run(lost) == 0
    nameless = (
        "[...document.querySelectorAll('button, select, input')].filter((e) => "
        "!(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).length"
    )
    assert tab.run(nameless) == 0


def test_the_report_can_be_saved(tab: Any, file: Path, tmp_path: Path) -> None:
    tab.open(file)
    saved = tab.run(
        "new Promise((done) => { const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then(done); return make(blob); };"
        "document.getElementById('download').click(); })"
    )
    assert saved == tab.run("document.getElementById('report').textContent")
    assert troubles(tab) == []


def test_names_that_are_scripts_do_not_run(
    tab: Any, tmp_path: Path, make_report: Callable[..., Report]
) -> None:
    attacks = (
        "<img src=x onerror='window.hit = 1'>",
        "</script><script>window.hit = 1</script>",
        "\"><svg onload='window.hit = 1'>",
    )
    rows = [
        ReportRow(name, name, name, 2, 1, 0, 9, model=name, note=name, latency=LatencyStats.of([9]),
                  memory=Memory(9), samples_ns=(9,))
        for name in attacks
    ]  # fmt: skip
    path = tmp_path / "attack.html"
    path.write_text(pages({name: make_report(rows) for name in attacks[:2]}), encoding="utf-8")
    tab.open(path)
    press(tab, "graph")
    assert tab.run("window.hit") is None
    assert set(column(tab, "graph")) == set(attacks)
    assert troubles(tab) == []
