"""The page says everything, loads nothing, and takes names for text."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_tx import views
from edge_tx.report import SCHEMA, Report, ReportModel, ReportRow
from edge_tx.report_formats import render
from edge_tx.views.page import page, pages

HERE = Path(views.__file__).parent


class Parsed(HTMLParser):
    """Tags with their attributes, visible text, and scripts by their id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self._inside == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def json(self, identity: str) -> Any:
        [found] = [text for attributes, text in self.scripts if attributes.get("id") == identity]
        return json.loads(found)


@pytest.fixture(scope="module")
def parsed(full: Report) -> Parsed:
    return Parsed(page(full))


def test_every_status_is_there_with_its_reason(parsed: Parsed, full: Report) -> None:
    for row in full.rows:
        assert row.graph in parsed.text
        assert row.note in parsed.text
    for told in ("failed (killed)", "failed (out-of-memory)", "skipped", "Not measured (3)"):
        assert told in parsed.text


def test_the_state_of_the_machine_is_there(parsed: Parsed) -> None:
    for told in ("AMD EPYC", "performance", "8.1 %", "no counter can be read", "0.1, 0.2, 0.3"):
        assert told in parsed.text


def test_scenarios_say_whether_they_are_valid(parsed: Parsed) -> None:
    assert "SingleStream" in parsed.text
    assert "6 queries" in parsed.text


def test_the_schema_is_shown_and_the_report_embedded(parsed: Parsed, full: Report) -> None:
    assert f"schema {SCHEMA}" in parsed.text
    assert Report.from_json(json.dumps(parsed.json("report"))) == full


def test_nothing_is_loaded(parsed: Parsed) -> None:
    loading = {"link", "img", "iframe", "object", "embed", "video", "audio", "source", "base"}
    assert {tag for tag, _ in parsed.tags} & loading == set()
    named = {"src", "srcset", "action", "formaction", "poster", "data", "ping"}
    assert [attrs for _, attrs in parsed.tags if named & attrs.keys()] == []
    assert {attrs["href"] for _, attrs in parsed.tags if "href" in attrs} == {"#main"}
    assert not re.search(r"url\(|@import|image-set", "".join(parsed.styles))
    assert "sourceMappingURL" not in "".join(text for _, text in parsed.scripts)


def test_the_policy_allows_our_scripts_and_nothing_else(parsed: Parsed) -> None:
    [policy] = [
        attrs["content"]
        for _, attrs in parsed.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    run = [text for attrs, text in parsed.scripts if attrs.get("type") != "application/json"]
    assert rules["script-src"].split() == [digest(text) for text in run]
    assert rules["style-src"] == digest("".join(parsed.styles))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_every_chart_has_a_name_and_a_table(parsed: Parsed) -> None:
    canvases = [attrs for tag, attrs in parsed.tags if tag == "canvas"]
    assert len(canvases) == len(parsed.json("figures")) == 11
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in canvases)
    assert sum(tag == "details" for tag, _ in parsed.tags) == len(canvases) + 1  # the licence


def test_identities_are_unique_and_what_refers_to_them_is_there(parsed: Parsed) -> None:
    identities = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(set(identities)) == len(identities)
    assert {a["aria-labelledby"] for _, a in parsed.tags if "aria-labelledby" in a} <= {*identities}


def test_several_reports_stand_side_by_side(full: Report, other: Report) -> None:
    parsed = Parsed(pages({"minilm": full, "bge": other}))
    assert parsed.json("report").keys() == {"minilm", "bge"}
    names = {line["name"] for line in parsed.json("figures")[0]["panels"][0]["series"]}
    assert {"all-MiniLM-L6-v2 / onnx-fp32", "bge-small-en / onnx-fp32"} <= names


def test_the_same_graph_in_two_reports_is_told_apart(full: Report, slower: Report) -> None:
    parsed = Parsed(pages({"before": full, "after": slower}))
    names = {line["name"] for line in parsed.json("figures")[0]["panels"][0]["series"]}
    assert {"onnx-fp32 (before)", "onnx-fp32 (after)"} <= names


@pytest.mark.parametrize("kept", [(), ("failed",), ("skipped",), ("failed", "skipped")])
def test_a_report_in_which_nothing_ran_has_no_charts(full: Report, kept: tuple[str, ...]) -> None:
    bare = replace(full, rows=tuple(row for row in full.rows if row.status in kept))
    parsed = Parsed(page(bare))
    assert parsed.json("figures") == []
    assert all(row.note in parsed.text for row in bare.rows)


def test_the_formats_of_reports_know_it(full: Report) -> None:
    assert render(full, "html") == page(full)


HOSTILE = st.one_of(
    st.text(max_size=20),
    st.text("<>\"'&/!-=]() scriptalone`{}\u2028\u0085%;#", max_size=40),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "<!--<script>",
            "--></style><img src=x onerror=alert(1)>",
            '" onload="alert(1)',
            "javascript:alert(1)",
            "]]>",
            "&lt;b&gt;",
        ]
    ),
)


def hostile(name: str, make_report: Callable[..., Report]) -> Report:
    row = ReportRow(name, name, name, 1, 1, 0, 1, model=name, note=name, device=name)
    bad = replace(row, graph=f"{name}2", status="failed", failure="error")
    return replace(
        make_report(
            [row, bad],
            models=(),
            device={"cpu": {"model": name}, "name": name},
            versions={"edge_tx": name},
            settings={name: name},
            remarks=(name,),
        )
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=HOSTILE)
def test_names_are_text_whatever_they_hold(name: str, make_report: Callable[..., Report]) -> None:
    report = hostile(name, make_report)
    context = replace(report.context, models=(ReportModel(name, name, name, name),))
    found = Parsed(pages({name: replace(report, context=context)}))
    plain = Parsed(pages({"x": hostile("x", make_report)}))
    keys = [(tag, sorted(attrs)) for tag, attrs in found.tags]
    # An empty value has no line of its own, so an empty name makes a shorter page.
    if name.strip():
        assert keys == [(tag, sorted(attrs)) for tag, attrs in plain.tags]
    assert len(found.scripts) == len(plain.scripts)
    assert found.json("report")["rows"][0]["note"] == name
    assert name in found.text


def test_the_library_is_the_one_that_was_published() -> None:
    """A changed byte would be a change of somebody else's code."""
    folder = HERE / "third_party" / "chartjs"
    published = {
        "chart.umd.min.js": "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2",
        "LICENSE.md": "41a84aa2caba645f966a18d9c2056b73e6d3a81d80bc0046bc0011a2634d4cce",
    }
    held = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    assert {name: held[name] for name in published} == published
    assert "MIT" in (folder / "LICENSE.md").read_text(encoding="utf-8")


THEMES = (":root {", ':root[data-theme="dark"] {')


def colours_of(theme: str) -> dict[str, str]:
    css = (HERE / "assets" / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css[css.index(theme) :].split("}", 1)[0]))


@pytest.mark.parametrize("theme", THEMES)
def test_colours_of_graphs_stand_out_from_the_page(theme: str) -> None:
    """WCAG 2.2, 1.4.11: 3 to 1 for graphics; 1.4.3: 4.5 to 1 for text."""
    colours = colours_of(theme)
    series = [value for name, value in colours.items() if name.startswith("series-")]
    assert len(set(series)) == 8
    assert min(contrast(value, colours["page"]) for value in series) >= 3
    for ink in ("ink", "soft", "link", "bad"):
        assert contrast(colours[ink], colours["page"]) >= 4.5
    assert contrast(colours["ink"], colours["warn-card"]) >= 4.5


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def linear(colour: str) -> list[float]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# Machado, Oliveira and Fernandes 2009, severity 1.
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
                   (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_of_graphs_differ_for_the_colour_blind(theme: str, kind: str) -> None:
    """In CIELAB, where a difference of 2 is just seen."""
    series = [value for name, value in colours_of(theme).items() if name.startswith("series-")]
    seen = [lab(linear(colour), BLINDNESS[kind]) for colour in series]
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) > 12


def lab(colour: list[float], eye: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    red, green, blue = (
        min(1, max(0, sum(w * c for w, c in zip(row, colour, strict=True)))) for row in eye
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
