"""Colours, fonts and spacing of the window, in one place."""

from __future__ import annotations

import tkinter as tk
from tkinter import font, ttk
from typing import Any, Final

__all__ = ["BLUE", "CARD", "INK", "LINE", "MUTED", "PAPER", "PICKED", "RED", "RED_PAPER", "apply"]

PAPER: Final = "#f4f5f7"
CARD: Final = "#ffffff"
INK: Final = "#1d2433"
MUTED: Final = "#667085"
LINE: Final = "#d9dde5"
BLUE: Final = "#2459d6"
PICKED: Final = "#e8effd"
RED: Final = "#9f1d1d"
RED_PAPER: Final = "#fde8e8"

_FAMILIES = ("Segoe UI", "SF Pro Text", "Helvetica Neue", "Cantarell", "Noto Sans", "DejaVu Sans")

_STYLES: dict[str, dict[str, Any]] = {
    "TFrame": {"background": PAPER},
    "TLabel": {"background": PAPER, "foreground": INK},
    "Title.TLabel": {"font": "AppTitle"},
    "Muted.TLabel": {"foreground": MUTED, "font": "AppSmall"},
    "TButton": {
        "background": CARD,
        "foreground": INK,
        "bordercolor": LINE,
        "lightcolor": CARD,
        "darkcolor": CARD,
        "padding": (12, 6),
        "focuscolor": CARD,
    },
    "Search.TEntry": {
        "fieldbackground": CARD,
        "foreground": INK,
        "bordercolor": LINE,
        "lightcolor": CARD,
        "darkcolor": CARD,
        "insertcolor": BLUE,
        "padding": (12, 9),
    },
    "Horizontal.TProgressbar": {
        "background": BLUE,
        "troughcolor": LINE,
        "bordercolor": LINE,
        "lightcolor": BLUE,
        "darkcolor": BLUE,
        "thickness": 8,
    },
    "Vertical.TScrollbar": {
        "background": LINE,
        "troughcolor": CARD,
        "bordercolor": CARD,
        "lightcolor": LINE,
        "darkcolor": LINE,
        "arrowcolor": MUTED,
        "gripcount": 0,
    },
}


def apply(root: tk.Tk) -> None:
    """Dresses all widgets of a window, present and future."""
    family = next((name for name in _FAMILIES if name in font.families(root)), "TkDefaultFont")
    for name, size, weight in (
        ("AppText", 11, "normal"),
        ("AppSmall", 9, "normal"),
        ("AppBold", 11, "bold"),
        ("AppTitle", 16, "bold"),
        ("AppSearch", 13, "normal"),
    ):
        root.tk.call("font", "create", name, "-family", family, "-size", size, "-weight", weight)
    style = ttk.Style(root)
    style.theme_use("clam")  # the one theme that takes colours on every platform
    style.configure(".", font="AppText")
    for name, options in _STYLES.items():
        style.configure(name, **options)
    style.map("TButton", background=[("active", PICKED)])
    style.map("Search.TEntry", bordercolor=[("focus", BLUE)], lightcolor=[("focus", CARD)])
    style.map("Vertical.TScrollbar", background=[("disabled", CARD), ("active", MUTED)])
    root.configure(background=PAPER)
