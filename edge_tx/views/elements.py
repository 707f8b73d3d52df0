"""HTML as a tree: what a name or a note holds is text, whatever it holds."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

from edge_tx.views.shapes import Table

__all__ = ["Element", "child", "grid", "html", "tag"]

Content = Element | str


def tag(name: str, /, *content: Content | None, **attributes: str) -> Element:
    """An element.

    Args:
        name: Of the tag.
        content: Its children in order; None is left out.
        attributes: An underscore at the end is dropped, those inside are hyphens:
            ``class_``, ``aria_label``.
    """
    element = Element(name, {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items()})
    for item in content:
        child(element, item)
    return element


def child(element: Element, item: Content | None) -> None:
    """Appends an element or a text."""
    if item is None:
        return
    if isinstance(item, Element):
        element.append(item)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + item
    else:
        element.text = (element.text or "") + item


def grid(
    table: Table,
    caption: str,
    kinds: Sequence[str],
    states: Sequence[str] = (),
    **attributes: str,
) -> Element:
    """A table that scrolls by itself where the page is narrower.

    Args:
        table: Its texts; the first of a row is its head.
        caption: For readers of screens.
        kinds: Class of each column: ``"number"``, ``"note"``... or nothing.
        states: Class of each row; empty for none.
        attributes: Of the table.
    """
    head = tag(
        "tr", *(_cell("th", *cell, scope="col") for cell in zip(table.head, kinds, strict=True))
    )
    held = tag("table", tag("caption", caption), tag("thead", head), **attributes)
    body = tag("tbody")
    for row, state in zip(table.rows, states or ("",) * len(table.rows), strict=True):
        cells = [_cell("td", *cell) for cell in zip(row[1:], kinds[1:], strict=True)]
        line = tag("tr", tag("th", row[0], scope="row"), *cells)
        child(body, _classed(line, state))
    child(held, body)
    return tag(
        "div", held, class_="scroll", tabindex="0", role="region", aria_label=f"Table: {caption}"
    )


def _cell(name: str, text: str, kind: str, **attributes: str) -> Element:
    return _classed(tag(name, text, **attributes), kind)


def _classed(element: Element, name: str) -> Element:
    if name:
        element.set("class", name)
    return element


def html(page: Element) -> str:
    """The page as a file's text."""
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"
