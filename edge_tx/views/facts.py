"""What stands around the charts: the winners, what failed, the device and its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_tx.report import Report, ReportRow
from edge_tx.report_text import note_of
from edge_tx.views.cells import Cell, number
from edge_tx.views.elements import Element, tag
from edge_tx.views.figures import p50_ms, peak_mb

__all__ = ["about", "device", "glance", "remarks", "remarks_of", "troubles"]


def about(name: str, report: Report, named: bool) -> str:
    """A report in one line: tasks, processor, time."""
    context = report.context
    tasks = dict.fromkeys(model.task for model in context.models)
    processor = str(_under(context.device, "cpu", "model") or "")
    created = context.created.replace("T", " ").replace("+00:00", " UTC")
    return " · ".join(filter(None, (name if named else "", *tasks, processor, created)))


def remarks(reports: Mapping[str, Report]) -> Element | None:
    """What a reader must know before the numbers; None if there is nothing."""
    items = [
        tag("li", f"{name}: {text}" if len(reports) > 1 else text, class_=kind)
        for name, report in reports.items()
        for kind, text in remarks_of(report)
    ]
    if not items:
        return None
    return tag("section", tag("ul", *items), class_="remarks", aria_label="Remarks")


def remarks_of(report: Report) -> Iterator[tuple[str, str]]:
    """What a reader must know, each with its class: ``"warning"`` or ``"quiet"``."""
    noise = report.context.noise
    if noise is not None:
        yield "quiet" if noise.quiet else "warning", noise.said
    for text in report.context.remarks:
        yield "warning", text
    restless = sum(row.steady is False for row in report.rows)
    if restless:
        rows = "row was" if restless == 1 else "rows were"
        yield "warning", f"{restless} {rows} timed before the times had become steady"


@dataclass(frozen=True, slots=True)
class _Prize:
    """What a graph can be best at.

    Attributes:
        title: For whom it is.
        read: The number that decides.
        show: That number with its unit.
        most: Whether more is better.
    """

    title: str
    read: Callable[[ReportRow], float | None]
    show: Callable[[float], str]
    most: bool = False


_PRIZES = (
    _Prize("Fastest", p50_ms, lambda value: f"{number(value)} ms"),
    _Prize(
        "Most throughput",
        lambda row: row.list_throughput or row.throughput,
        lambda value: f"{number(value)}/s",
        most=True,
    ),
    _Prize("Least memory", peak_mb, lambda value: f"{number(value)} MB"),
    _Prize("Smallest", lambda row: row.size_bytes / 1e6, lambda value: f"{number(value)} MB"),
)


def glance(cells: Sequence[Cell]) -> Element | None:
    """The best graphs in the place where most were measured; None if nothing was."""
    ran = [cell for cell in cells if cell.row.status == "ok" and not cell.row.reference]
    if not ran:
        return None
    counts = Counter(cell.place for cell in ran)
    place = min(counts, key=lambda place: (-counts[place], place.rank))
    there = [cell for cell in ran if cell.place == place]
    cards = [card for prize in (*_PRIZES, *_scores(there)) if (card := _card(prize, there))]
    return tag(
        "section",
        tag("h2", "At a glance", id="glance"),
        tag("p", f"Measured with {place.text}.", class_="about"),
        tag("div", *cards, class_="cards"),
        aria_labelledby="glance",
    )


def _scores(cells: Sequence[Cell]) -> list[_Prize]:
    metrics = dict.fromkeys(name for cell in cells for name in cell.row.accuracy)
    return [_score(name) for name in metrics]


def _score(metric: str) -> _Prize:
    def read(row: ReportRow) -> float | None:
        return row.accuracy.get(metric)

    return _Prize(f"Best {metric}", read, lambda value: f"{value:.4f}", most=True)


def _card(prize: _Prize, cells: Sequence[Cell]) -> Element | None:
    values = [(value, cell) for cell in cells if (value := prize.read(cell.row)) is not None]
    if not values:
        return None
    best = (max if prize.most else min)(value for value, _ in values)
    names = [cell.name for value, cell in values if value == best]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return tag(
        "div",
        tag("span", prize.title, class_="title"),
        tag("strong", prize.show(best)),
        tag("span", names[0] + more, class_="name"),
        class_="card",
    )


def troubles(cells: Sequence[Cell]) -> Element | None:
    """Rows that failed or were skipped, each with its reason; None if there are none."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        if cell.row.status != "ok":
            told = note_of(cell.row) or cell.row.status
            places.setdefault((cell.name, cell.row.status, told), []).append(cell.place.text)
    if not places:
        return None
    items = [
        tag("li", tag("strong", name), f" ({'; '.join(where)}): {told}", class_=status)
        for (name, status, told), where in places.items()
    ]
    count = sum(map(len, places.values()))
    return tag(
        "section",
        tag("h2", f"Not measured ({count})", id="troubles"),
        tag("ul", *items),
        class_="troubles",
        aria_labelledby="troubles",
    )


def device(reports: Mapping[str, Report]) -> Element:
    """The machine, its state before and after, and what was chosen."""
    parts: list[Element] = []
    several = len(reports) > 1
    for name, report in reports.items():
        if several:
            parts.append(tag("h3", name))
        lists = (_list(group, "h4" if several else "h3") for group in _groups(report))
        parts.append(tag("div", *lists, class_="groups"))
    return tag(
        "section", tag("h2", "Device and settings", id="device"), *parts, aria_labelledby="device"
    )


@dataclass(frozen=True, slots=True)
class _Group:
    title: str
    facts: Mapping[str, Any]
    fields: bool = True  # whether the names are a record's, and not those of packages


def _groups(report: Report) -> Iterator[_Group]:
    context = report.context
    yield _Group("Device", _machine(context.device))
    before, after = asdict(context.before), asdict(context.after)
    yield _Group("State before and after", {k: _change(k, before[k], after[k]) for k in before})
    yield _Group("Settings", context.settings)
    yield _Group("Versions", context.versions, fields=False)
    yield _Group("Accuracy's data", context.data)
    yield _Group("Not measurable here", context.unmeasured)


def _machine(device: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values become their own lines, the processor's name first."""
    flat: dict[str, Any] = {}
    for key, value in device.items():
        if isinstance(value, Mapping):
            flat |= {f"{key} {inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    first = {"cpu model": flat.pop("cpu model", None)}
    return first | flat


def _change(key: str, *values: Any) -> str:
    told = [text for value in values if (text := _told(value, key))]
    return " → ".join(dict.fromkeys(told))


def _list(group: _Group, heading: str) -> Element | None:
    facts = {key: text for key, value in group.facts.items() if (text := _told(value, key))}
    if not facts:
        return None
    pairs = [
        element
        for key, text in facts.items()
        for element in (tag("dt", _words(key) if group.fields else key), tag("dd", text))
    ]
    return tag("div", tag(heading, group.title), tag("dl", *pairs), class_="group")


def _words(key: str) -> str:
    return key.removesuffix("_bytes").replace("_", " ")


def _told(value: Any, key: str = "") -> str:
    """A value in words; empty where there is nothing to say."""
    if value is None or value == "" or value == [] or value == () or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and key.endswith("_bytes"):
        return f"{number(value / 1e6)} MB"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {text}" for k, v in value.items() if (text := _told(v, str(k))))
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(_told, value)))
    return str(value)


def _under(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
