"""The list of what was found: one passage under the other, chosen by mouse or arrow keys."""

from __future__ import annotations

import textwrap
import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk
from typing import Any

from .index import Hit
from .theme import BLUE, CARD, INK, LINE, MUTED, PICKED

__all__ = ["Results"]

SNIPPET = 320


class Results(ttk.Frame):
    """A read-only text that is laid out as a list.

    Args:
        parent: Where it stands.
        open_hit: Is called with the passage that the user opens.
    """

    def __init__(self, parent: tk.Misc, open_hit: Callable[[Hit], None]) -> None:
        super().__init__(parent)
        self._open = open_hit
        self.hits: Sequence[Hit] = ()
        self.chosen = 0
        self._text = tk.Text(
            self,
            wrap="word",
            state="disabled",
            cursor="arrow",
            background=CARD,
            foreground=INK,
            font="AppText",
            borderwidth=0,
            highlightthickness=1,
            highlightbackground=LINE,
            highlightcolor=LINE,
            padx=0,
            pady=6,
            takefocus=False,
            selectbackground=CARD,
            inactiveselectbackground=CARD,
            selectforeground=INK,
        )
        bar = ttk.Scrollbar(self, command=self._text.yview)
        self._text.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self._text.pack(side="left", fill="both", expand=True)
        self._text.bind("<Configure>", self._set_tabs)
        self._tags()

    def show(self, hits: Sequence[Hit], empty: str) -> None:
        """Shows passages, the best first, or a sentence where there are none."""
        self.hits, self.chosen = hits, 0
        self._text.configure(state="normal")
        self._text.delete("1.0", "end")
        for number, hit in enumerate(hits):
            self._insert(number, hit)
        if not hits:
            self._text.insert("end", f"\n{empty}", ("empty",))
        self._text.configure(state="disabled")
        self._text.yview_moveto(0)
        self.choose(0)

    def choose(self, number: int) -> None:
        """Marks one of the passages and scrolls to it."""
        if not self.hits:
            return
        self._text.tag_configure(f"hit-{self.chosen}", background=CARD)
        self.chosen = min(max(number, 0), len(self.hits) - 1)
        self._text.tag_configure(f"hit-{self.chosen}", background=PICKED)
        first, last = self._text.tag_ranges(f"hit-{self.chosen}")
        self._text.see(last)
        self._text.see(first)

    def open_chosen(self) -> None:
        """Opens the passage that is marked."""
        if self.hits:
            self._open(self.hits[self.chosen])

    def shown(self) -> str:
        """All the text on show."""
        return self._text.get("1.0", "end")

    def _insert(self, number: int, hit: Hit) -> None:
        mine = f"hit-{number}"
        snippet = textwrap.shorten(hit.passage.text, SNIPPET, placeholder=" …")
        score = f"{max(hit.score, 0.0):.0%}"
        self._text.insert("end", hit.passage.file, ("name", mine))
        self._text.insert("end", f"   line {hit.passage.line}", ("muted", mine))
        self._text.insert("end", f"\t{score}\n", ("score", mine))
        self._text.insert("end", f"{snippet}\n", ("snippet", mine))
        self._text.tag_bind(mine, "<Button-1>", lambda _: self.choose(number))
        self._text.tag_bind(mine, "<Double-Button-1>", lambda _: self.open_chosen())

    def _tags(self) -> None:
        styles: dict[str, dict[str, Any]] = {
            "name": {"font": "AppBold", "foreground": BLUE, "spacing1": 10},
            "muted": {"font": "AppSmall", "foreground": MUTED},
            "score": {"font": "AppBold", "foreground": MUTED},
            "snippet": {"spacing1": 3, "spacing2": 3, "spacing3": 10},
            "empty": {"foreground": MUTED, "justify": "center", "spacing1": 60},
        }
        for name, style in styles.items():
            self._text.tag_configure(name, lmargin1=18, lmargin2=18, rmargin=18, **style)

    def _set_tabs(self, event: tk.Event[tk.Text]) -> None:
        self._text.configure(tabs=(event.width - 22, "right"))
