"""Reports as one HTML file that loads nothing, from nowhere.

Charts are drawn by Chart.js, which lies beside this module and is written into the page. The
page's own policy forbids every request and every script but ours, so that what a report holds
can neither load nor run anything, even if it got past the escaping.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from edge_tx.report import SCHEMA, Report
from edge_tx.strict_json import encode
from edge_tx.views.cells import Cell, cells_of, short_names
from edge_tx.views.elements import Element, child, grid, html, tag
from edge_tx.views.facts import about, device, glance, remarks, troubles
from edge_tx.views.figures import figures
from edge_tx.views.overview import overview, scenarios
from edge_tx.views.pruning import Pruning, heat_map
from edge_tx.views.shapes import Figure

__all__ = ["document", "drawing", "page", "pages"]

_NONE: Mapping[str, Pruning] = MappingProxyType({})


def page(report: Report) -> str:
    """One report as HTML."""
    return pages({"report": report})


def pages(reports: Mapping[str, Report], prunings: Mapping[str, Pruning] = _NONE) -> str:
    """Several reports as one page of HTML.

    Args:
        reports: By their names, e.g. of their files.
        prunings: What pruning left of models, by their names.
    """
    cells = cells_of(reports)
    charts = figures(cells)
    held = {name: encode(report) for name, report in reports.items()}
    return document(
        _title(reports),
        [about(name, report, len(reports) > 1) for name, report in reports.items()],
        _sections(reports, prunings, cells, charts),
        charts,
        next(iter(held.values())) if len(held) == 1 else held,
        f"report schema {SCHEMA}",
    )


def document(
    title: str,
    lines: Sequence[str],
    sections: Sequence[Element | None],
    charts: Sequence[Figure],
    raw: object,
    schema: str = "",
) -> str:
    """A page of sections and charts as HTML.

    Args:
        title: Of the page.
        lines: What stands below it.
        sections: In order, the drawings of the charts among them; None is left out.
        charts: What is drawn.
        raw: All the numbers, which readers can save as JSON.
        schema: Name and version of their format, if it has any.
    """
    body = tag(
        "body",
        _header(title, lines),
        tag("main", *sections, id="main"),
        _footer(schema),
        tag("script", _inline_json(raw), type="application/json", id="report"),
        tag("script", _inline_json(_drawings(charts)), type="application/json", id="figures"),
    )
    head = tag("head", tag("meta", charset="utf-8"))
    scripts = (_chart_js(), _asset("page.js"))
    for element in _head(title, scripts):
        child(head, element)
    for script in scripts:
        child(body, tag("script", script))
    return html(tag("html", head, body, lang="en"))


def _title(reports: Mapping[str, Report]) -> str:
    models = short_names(model.name for r in reports.values() for model in r.context.models)
    return ", ".join(models.values()) or "Benchmark"


def _head(title: str, scripts: Sequence[str]) -> tuple[Element, ...]:
    theme, style = _asset("theme.js"), _asset("page.css")
    allowed = " ".join(map(_digest, (theme, *scripts)))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} - edge_tx report"),
        tag("style", style),
        tag("script", theme),
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _header(title: str, lines: Sequence[str]) -> Element:
    buttons = tag(
        "div",
        tag("button", "Dark", id="theme", type="button", hidden="hidden"),
        tag("button", "Raw JSON", id="download", type="button", hidden="hidden"),
        class_="buttons",
    )
    heading = tag("div", tag("h1", title), *(tag("p", line) for line in lines))
    skip = tag("a", "Skip to the results", href="#main", class_="skip")
    return tag("header", skip, heading, buttons)


def _sections(
    reports: Mapping[str, Report],
    prunings: Mapping[str, Pruning],
    cells: Sequence[Cell],
    charts: Sequence[Figure],
) -> list[Element | None]:
    return [
        remarks(reports),
        glance(cells),
        *(drawing(chart) for chart in charts[:1]),
        troubles(cells),
        tag("div", *(drawing(chart) for chart in charts[1:]), class_="figures"),
        heat_map(prunings),
        scenarios(cells),
        overview(reports, cells),
        device(reports),
    ]


def drawing(figure: Figure) -> Element:
    """A chart with its legend, and its numbers as a table."""
    heading = f"{figure.key}-title"
    told = f"{figure.title}. {figure.about} The numbers are in the table below."
    canvas = tag("canvas", told, id=f"chart-{figure.key}", role="img", aria_label=told)
    kinds = ["", "", *("number" for _ in figure.table.head[2:])]
    return tag(
        "section",
        tag("h2", figure.title, id=heading),
        tag("p", figure.about, class_="about"),
        tag("div", class_="choose", id=f"choose-{figure.key}"),
        tag("div", canvas, class_=f"chart {figure.kind}"),
        tag("div", class_="legend", id=f"legend-{figure.key}", role="group", aria_label="Legend"),
        tag(
            "details",
            tag("summary", "Numbers of this chart"),
            grid(figure.table, figure.title, kinds),
        ),
        class_="figure",
        aria_labelledby=heading,
    )


def _footer(schema: str) -> Element:
    made = ", ".join(filter(None, ("Made by edge_tx", schema)))
    return tag(
        "footer",
        tag("p", f"{made}. This file loads nothing."),
        tag(
            "details",
            tag("summary", "Licence of the chart library"),
            tag("pre", _third_party("LICENSE.md")),
        ),
    )


def _drawings(charts: Sequence[Figure]) -> list[dict[str, object]]:
    return [{k: v for k, v in encode(chart).items() if k != "table"} for chart in charts]


def _inline_json(value: object) -> str:
    """JSON that ends no script and begins no comment: what HTML looks for is escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _asset(name: str) -> str:
    return (files("edge_tx.views") / "assets" / name).read_text(encoding="utf-8")


def _third_party(name: str) -> str:
    return (files("edge_tx.views") / "third_party" / "chartjs" / name).read_text(encoding="utf-8")


@cache
def _chart_js() -> str:
    # Its last line names a map of the source, which browsers' tools would look for.
    return _third_party("chart.umd.min.js").rpartition("//# sourceMappingURL=")[0]
