"""The front as one HTML file: a chart, all points in a table, and what pruning left of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_tx.optimizing.front import Place, Point
from edge_tx.optimizing.outcome import Optimized
from edge_tx.views import shapes
from edge_tx.views.cells import Style, number
from edge_tx.views.elements import Element, grid, tag
from edge_tx.views.page import document, drawing
from edge_tx.views.pruning import heat_map

__all__ = ["page"]


@dataclass(frozen=True, slots=True)
class _Cost:
    """A cost with its unit.

    Attributes:
        name: Of the aim.
        title: With the unit.
        unit: How many of what is measured make one that is shown.
    """

    name: str
    title: str
    unit: float = 1e6

    def of(self, point: Point) -> float | None:
        """What a point costs; None if that was not measured."""
        return point.costs[self.name] / self.unit if self.name in point.costs else None


_COSTS: Mapping[str, _Cost] = {
    cost.name: cost
    for cost in (
        _Cost("latency", "latency, ms"),
        _Cost("size", "files, MB"),
        _Cost("memory", "peak memory, MB"),
    )
}
_STATES = {"over budget": "failed", "failed": "failed", "not tried": "skipped"}


def page(done: Optimized) -> str:
    """What came of an optimisation, as HTML."""
    chart = _chart(done)
    sections = (_glance(done), drawing(chart), _rows(done), heat_map(done.pruned))
    tried = sum(place.point.tried for place in done.front.places)
    lines = [
        f"{done.best.name} is the best of {tried} for {done.aim.name}",
        f"{done.metric} may fall by {done.max_drop:g} · {done.seconds / 60:.0f} minutes of work",
    ]
    return document(done.output.name, lines, sections, [chart], done.to_dict())


def _glance(done: Optimized) -> Element:
    best, whole = done.best, done.whole
    cards = [_card(done.metric.capitalize(), f"{best.score:.4f}", f"was {whole.score:.4f}")]
    shown = [(cost, cost.of(best), cost.of(whole)) for cost in _COSTS.values()]
    cards += [
        _card(
            cost.title.partition(",")[0].capitalize(), _units(now, cost), f"was {_units(was, cost)}"
        )
        for cost, now, was in shown
        if now is not None and was is not None
    ]
    told = f"{done.gain:.2f} times {done.aim.better} as {whole.name}."
    return tag(
        "section",
        tag("h2", best.name, id="glance"),
        tag("p", told, class_="about"),
        tag("div", *cards, class_="cards"),
        aria_labelledby="glance",
    )


def _card(title: str, value: str, about: str) -> Element:
    return tag(
        "div",
        tag("span", title, class_="title"),
        tag("strong", value),
        tag("span", about, class_="name"),
        class_="card",
    )


def _units(value: float, cost: _Cost) -> str:
    return f"{number(value)} {cost.title.rpartition(' ')[2]}"


def _chart(done: Optimized) -> shapes.Figure:
    cost, size = _COSTS[done.aim.name], _COSTS["size"]
    spots = list(_spots(done, cost, size))
    rows = tuple(
        (line.name, done.aim.name, *map(number, (at.x, at.y, at.size)))
        for line in spots
        for at in line.points
    )
    return shapes.Figure(
        key="front",
        kind="bubbles",
        title=f"{cost.title.partition(',')[0].capitalize()} against {done.metric}",
        about="Better is further left and further up. A larger bubble takes more disk.",
        x=shapes.Axis(cost.title),
        y=shapes.Axis(done.metric),
        panels=(shapes.Panel("this device", tuple(spots)),),
        table=shapes.Table(("graph", "target", cost.title, done.metric, size.title), rows),
        size=size.title,
    )


def _spots(done: Optimized, cost: _Cost, size: _Cost) -> Iterator[shapes.Series]:
    """A bubble for each graph: colour by backend, shape by what is left of the model."""
    points = [place.point for place in done.front.places]
    backends = list(dict.fromkeys(point.backend for point in points))
    shares = list(dict.fromkeys(point.kept for point in points))
    for point in points:
        x, y = cost.of(point), point.score
        if x is not None and y is not None:
            style = Style(backends.index(point.backend), shares.index(point.kept))
            yield shapes.Series(point.name, style, (shapes.Point(x, y, size.of(point)),))


def _rows(done: Optimized) -> Element:
    head = ("graph", "status", done.metric, "change", *(c.title for c in _COSTS.values()), "note")
    kinds = ("", "status", *["number"] * (2 + len(_COSTS)), "note")
    places = done.front.places
    table = grid(
        shapes.Table(head, tuple(map(_row, places))),
        "All that was tried",
        kinds,
        [_STATES.get(place.verdict, "") for place in places],
        id="rows",
    )
    return tag(
        "section",
        tag("h2", "All that was tried", id="rows-title"),
        tag("div", id="filters", class_="filters"),
        table,
        aria_labelledby="rows-title",
    )


def _row(place: Place) -> tuple[str, ...]:
    point = place.point
    return (
        point.name,
        place.verdict,
        "" if point.score is None else f"{point.score:.4f}",
        "" if point.drop is None else f"{round(-point.drop, 4) + 0.0:+.4f}",
        *(number(cost.of(point)) for cost in _COSTS.values()),
        place.why,
    )
