from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edge_tx.errors import UnknownName
from edge_tx.report import Report, ReportRow
from edge_tx.report_formats import render as render_one
from edge_tx.views import FORMATS, render
from edge_tx.views.markdown import escaped


def cells_in(text: str) -> list[str]:
    """What stands in the cells of tables and the items of lists, as readers see it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not any(token.type.startswith("html") for token in tokens)
    return ["".join(c.content for c in token.children or ()) for token in tokens if token.children]


def test_the_table_has_a_line_per_row_that_ran_and_the_rest_below(full: Report) -> None:
    text = render_one(full, "markdown")
    ran = [row for row in full.rows if row.status == "ok"]
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(ran) + 1
    assert "- tflite-static\\_w8a8" in text
    told = cells_in(text)
    assert any("failed (killed): the process was killed by signal 9" in cell for cell in told)
    assert any("8.1 %" in cell for cell in told)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=30) | st.text("<>&|`*_[]()#-+=.!~\\@$:/w1a \n", max_size=30))
def test_a_text_is_shown_as_it_is(text: str) -> None:
    shown = " ".join(text.split()).replace("\0", "\ufffd")  # Markdown has no other way to show it
    if shown:
        assert cells_in(f"- {escaped(text)}\n") == [shown]
        assert cells_in(f"| a |\n|---|\n| {escaped(text)} |\n")[1:] == [shown]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.text("<>&|`*_[]()#\\@ab \n", min_size=1, max_size=20))
def test_names_make_no_columns_and_no_tags(name: str, make_report: Callable[..., Report]) -> None:
    row = ReportRow(name, name, name, 1, 1, 0, 1, model=name)
    told = cells_in(render({"r": make_report([row], remarks=(name,))}, "markdown"))
    plain = replace(row, graph="x", model="x")
    same = cells_in(render({"r": make_report([plain], remarks=("x",))}, "markdown"))
    if name.strip():
        assert len(told) == len(same)


def test_csv_of_several_names_the_report(full: Report, other: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(render({"a": full, "b": other}, "csv"))))
    assert [line["report"] for line in lines] == ["a"] * len(full.rows) + ["b"] * len(other.rows)
    assert lines[-1]["model"] == "bge-small-en"
    assert "report" not in next(csv.reader(io.StringIO(render({"a": full}, "csv"))))


def test_the_terminal_shows_one_after_the_other(full: Report, other: Report) -> None:
    text = render({"a": full, "b": other}, "terminal")
    assert text.index("all-MiniLM-L6-v2") < text.index("bge-small-en")


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_without_rows_renders(full: Report, name: str) -> None:
    assert render({"a": replace(full, rows=())}, name)


def test_an_unknown_format_names_the_choices(full: Report) -> None:
    with pytest.raises(UnknownName, match="did you mean 'html'"):
        render({"a": full}, "htm")
