"""Charts as plain numbers, which know of no HTML and of no library that draws."""

from __future__ import annotations

from dataclasses import dataclass

from edge_tx.views.cells import Style

__all__ = ["Axis", "Figure", "Panel", "Point", "Series", "Table"]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        title: With the unit.
        log: Whether equal steps are equal factors.
        zero: Whether it begins at nothing.
        ticks: Where the marks are; empty to leave it to whoever draws.
    """

    title: str
    log: bool = False
    zero: bool = False
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A point in the units of the axes; ``size`` where the chart has bubbles."""

    x: float
    y: float
    size: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        name: Of the graph, as :class:`Cell` has it; of a phase, in stacked bars.
        style: The same in every chart.
        points: In ascending order of x. In bars, y is the number of the bar.
    """

    name: str
    style: Style
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing: all its series were measured in the same way, which is its name.

    Attributes:
        name: How they were measured.
        series: What is drawn.
        bars: Names of the bars, where the chart has some.
    """

    name: str
    series: tuple[Series, ...]
    bars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The same as text, for who cannot see the drawing."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart.

    Attributes:
        key: Unique in the page.
        kind: ``"bubbles"``, ``"lines"`` or ``"bars"``.
        title: What it shows.
        about: How to read it.
        x: The horizontal axis.
        y: The vertical axis.
        panels: The first is shown first; readers choose among them.
        table: Its numbers.
        size: What the area of a bubble is, with the unit.
    """

    key: str
    kind: str
    title: str
    about: str
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    table: Table
    size: str = ""
