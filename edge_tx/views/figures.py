"""What the charts of a report say: plain numbers, to be drawn and to be read in a table.

A chart is made only where the report holds numbers for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_tx.report import ReportRow
from edge_tx.stats import percentile
from edge_tx.views.cells import Cell, Place, Style, number, styles
from edge_tx.views.shapes import Axis, Figure, Panel, Point, Series, Table

__all__ = ["figures", "p50_ms", "peak_mb"]

# Points of a curve that are drawn: more than a screen has pixels for would only be heavy.
_CURVE = 160
_TAIL = (99.0, 99.5, 99.9, 100.0)
_PERCENTILES = (1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0)


Looks = Mapping[str, Style]
Builder = Callable[[Sequence[Cell], Looks], Figure | None]


def figures(cells: Sequence[Cell]) -> tuple[Figure, ...]:
    """The charts that some rows have numbers for, the most telling first."""
    measured = [cell for cell in cells if cell.row.status == "ok"]
    looks = styles(cells)
    made = (builder(measured, looks) for builder in _BUILDERS)
    return tuple(figure for figure in made if figure is not None)


@dataclass(frozen=True, slots=True)
class _Measure:
    title: str
    read: Callable[[ReportRow], float | None]


def p50_ms(row: ReportRow) -> float | None:
    """A row's median latency in milliseconds."""
    return None if row.typical_ns is None else row.typical_ns / 1e6


def peak_mb(row: ReportRow) -> float | None:
    """The most memory of a row's process in megabytes."""
    peak = None if row.memory is None else row.memory.peak_bytes
    return None if peak is None else peak / 1e6


_LATENCY = _Measure("latency (p50), ms", p50_ms)
_MEMORY = _Measure("peak memory, MB", peak_mb)
_SIZE = _Measure("files, MB", lambda row: row.size_bytes / 1e6)
_THROUGHPUT = _Measure("inputs per second", lambda row: row.throughput)


def _accuracy(cells: Sequence[Cell], looks: Looks) -> Figure | None:
    metrics = list(dict.fromkeys(name for cell in cells for name in cell.row.accuracy))
    panels = [panel for name in metrics for panel in _scored(cells, looks, name, len(metrics) > 1)]
    title = metrics[0] if len(metrics) == 1 else "score"
    return _bubbles(
        "accuracy",
        "Latency against accuracy",
        "Better is further left and further up. A larger bubble takes more memory.",
        panels,
        (_LATENCY.title, title, _MEMORY.title),
    )


def _scored(cells: Sequence[Cell], looks: Looks, metric: str, named: bool) -> Iterator[Panel]:
    def read(row: ReportRow) -> float | None:
        return row.accuracy.get(metric)

    for panel in _spots(cells, looks, read, peak_mb):
        yield Panel(f"{metric}: {panel.name}", panel.series) if named else panel


def _memory(cells: Sequence[Cell], looks: Looks) -> Figure | None:
    return _bubbles(
        "memory",
        "Latency against memory",
        "Better is further left and further down. A larger bubble takes more disk.",
        _spots(cells, looks, peak_mb, _SIZE.read),
        (_LATENCY.title, _MEMORY.title, _SIZE.title),
    )


def _bubbles(
    key: str, title: str, about: str, panels: Sequence[Panel], titles: tuple[str, str, str]
) -> Figure | None:
    if not panels:
        return None
    x, y, size = titles
    table = _point_table(panels, titles)
    return Figure(key, "bubbles", title, about, Axis(x), Axis(y), tuple(panels), table, size)


def _spots(
    cells: Sequence[Cell],
    looks: Looks,
    up: Callable[[ReportRow], float | None],
    size: Callable[[ReportRow], float | None],
) -> tuple[Panel, ...]:
    """A bubble for each graph, in a panel for each place."""

    def spot(found: Sequence[Cell]) -> list[Point]:
        row = found[0].row
        x, y = p50_ms(row), up(row)
        return [] if x is None or y is None else [Point(x, y, size(row))]

    return _gather(cells, looks, lambda place: place, spot)


def _distribution(cells: Sequence[Cell], looks: Looks) -> Figure | None:
    panels = _gather(cells, looks, lambda place: place, lambda found: _curve(found[0].row))
    if not panels:
        return None
    rows = [
        (cell.name, cell.place.text, str(len(ordered)), *_at(ordered))
        for cell in cells
        if (ordered := sorted(cell.row.samples_ns))
    ]
    head = ("graph", "measured with", "calls", *(f"p{number(p)} ms" for p in _PERCENTILES))
    return Figure(
        key="distribution",
        kind="lines",
        title="How long single calls took",
        about="Every call of a graph, the fastest first: a steep line is a steady graph, a "
        "long bend to the right at the top is a slow tail.",
        x=Axis("latency, ms", log=True),
        y=Axis("calls answered within it, %", zero=True),
        panels=panels,
        table=Table(head, tuple(rows)),
    )


def _curve(row: ReportRow) -> list[Point]:
    if len(row.samples_ns) < 2:
        return []
    ordered = sorted(row.samples_ns)
    steps = min(_CURVE, len(ordered))
    shares = sorted({100 * (i + 1) / steps for i in range(steps)} | set(_TAIL))
    return [Point(percentile(ordered, share) / 1e6, share) for share in shares]


def _at(ordered: Sequence[int]) -> tuple[str, ...]:
    return tuple(number(percentile(ordered, p) / 1e6) for p in _PERCENTILES)


_PHASES = ("tokenization", "inference", "decoding")


def _phases(cells: Sequence[Cell], looks: Looks) -> Figure | None:
    held: dict[Place, list[Cell]] = {}
    for cell in cells:
        if cell.row.phases is not None:
            held.setdefault(cell.place, []).append(cell)
    if not held:
        return None
    order = sorted(held, key=lambda place: (-len(held[place]), place.rank))
    return Figure(
        key="phases",
        kind="bars",
        title="Where the time of a call goes",
        about="Medians of each phase, measured with a clock at every seam.",
        x=Axis("ms", zero=True),
        y=Axis(""),
        panels=tuple(_bars(place.text, held[place]) for place in order),
        table=Table(
            ("graph", "measured with", *(f"{phase} ms" for phase in _PHASES)),
            tuple(
                (cell.name, place.text, *(number(_phase_ms(cell, phase)) for phase in _PHASES))
                for place in order
                for cell in held[place]
            ),
        ),
    )


def _bars(name: str, cells: Sequence[Cell]) -> Panel:
    series = tuple(
        Series(
            phase,
            Style(color, color),
            tuple(Point(_phase_ms(cell, phase), i) for i, cell in enumerate(cells)),
        )
        for color, phase in enumerate(_PHASES)
    )
    return Panel(name, series, tuple(cell.name for cell in cells))


def _phase_ms(cell: Cell, phase: str) -> float:
    return float(getattr(cell.row.phases, phase).p50_ns / 1e6)


@dataclass(frozen=True, slots=True)
class _Scaling:
    """How a measure grows along one field of a place, the others being the same."""

    along: str
    axis: str
    measure: _Measure
    title: str

    def __call__(self, cells: Sequence[Cell], looks: Looks) -> Figure | None:
        # Texts of mixed lengths have no place on an axis of lengths.
        there = [cell for cell in cells if getattr(cell.place, self.along) > 0]
        panels = _gather(there, looks, lambda place: place.without(self.along), self._line)
        if not panels:
            return None
        ticks = {point.x for panel in panels for line in panel.series for point in line.points}
        return Figure(
            key=self.title.lower().replace(" ", "-"),
            kind="lines",
            title=self.title,
            about="A line for each graph; all else is the same for all of them.",
            x=Axis(self.axis, log=True, ticks=tuple(sorted(ticks))),
            y=Axis(self.measure.title, zero=True),
            panels=panels,
            table=_point_table(panels, (self.axis, self.measure.title)),
        )

    def _line(self, cells: Sequence[Cell]) -> list[Point]:
        values = {getattr(c.place, self.along): self.measure.read(c.row) for c in cells}
        line = [Point(x, y) for x, y in sorted(values.items()) if y is not None]
        return line if len(line) > 1 else []


@dataclass(frozen=True, slots=True)
class _Sustained:
    """A percentile over the time of a sustained run."""

    field: str
    title: str

    def __call__(self, cells: Sequence[Cell], looks: Looks) -> Figure | None:
        panels = _gather(cells, looks, lambda place: place, self._line)
        if not panels:
            return None
        titles = ("seconds", f"latency ({self.title}), ms")
        return Figure(
            key=f"sustained-{self.field}",
            kind="lines",
            title=f"Latency over time ({self.title})",
            about="A sustained run: a line that climbs is a device that gets hot or is throttled.",
            x=Axis("seconds since the run began", zero=True),
            y=Axis(titles[1], zero=True),
            panels=panels,
            table=_point_table(panels, titles),
        )

    def _line(self, cells: Sequence[Cell]) -> list[Point]:
        return [
            Point(window.start_ns / 1e9, getattr(window.latency, self.field) / 1e6)
            for window in cells[0].row.sustained
        ]


_BUILDERS: tuple[Builder, ...] = (
    _accuracy,
    _memory,
    _distribution,
    _phases,
    _Scaling("seq", "tokens of one input", _LATENCY, "Latency over sequence length"),
    _Scaling("seq", "tokens of one input", _MEMORY, "Memory over sequence length"),
    _Scaling("batch", "inputs of one call", _LATENCY, "Latency over batch size"),
    _Scaling("batch", "inputs of one call", _THROUGHPUT, "Throughput over batch size"),
    _Scaling("batch", "inputs of one call", _MEMORY, "Memory over batch size"),
    _Scaling("threads", "CPU threads", _LATENCY, "Latency over threads"),
    _Sustained("p50_ns", "p50"),
    _Sustained("p99_ns", "p99"),
)


def _gather(
    cells: Sequence[Cell],
    looks: Looks,
    by: Callable[[Place], Place],
    line: Callable[[Sequence[Cell]], Sequence[Point]],
) -> tuple[Panel, ...]:
    """A panel for each place, in it a series for each graph that ``line`` makes points of.

    The panel with most graphs comes first, then that of the smallest place.
    """
    groups: dict[Place, dict[str, list[Cell]]] = {}
    for cell in cells:
        groups.setdefault(by(cell.place), {}).setdefault(cell.name, []).append(cell)
    made = []
    for place, held in groups.items():
        lines = ((name, tuple(line(found))) for name, found in held.items())
        series = tuple(Series(name, looks[name], points) for name, points in lines if points)
        if series:
            made.append((-len(series), place.rank, Panel(place.text, series)))
    return tuple(panel for *_, panel in sorted(made, key=lambda entry: entry[:2]))


def _point_table(panels: Sequence[Panel], titles: Sequence[str]) -> Table:
    return Table(("graph", "measured with", *titles), tuple(_point_rows(panels, len(titles))))


def _point_rows(panels: Sequence[Panel], width: int) -> Iterator[tuple[str, ...]]:
    for panel in panels:
        for series in panel.series:
            for point in series.points:
                values = (point.x, point.y, point.size)[:width]
                yield series.name, panel.name, *(number(value) for value in values)
