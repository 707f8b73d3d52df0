"""The window: choose a folder, watch it being indexed, search as you type."""

from __future__ import annotations

import threading
import time
import tkinter as tk
from pathlib import Path
from tkinter import filedialog, ttk

from .engine import Engine, Found, Refreshed
from .index import Hit
from .indexer import Progress
from .opening import open_file
from .results import Results
from .theme import RED, RED_PAPER, apply
from .worker import Worker

__all__ = ["Window"]

_TYPING_MS = 120
"""A pause in typing after which a search begins."""
_DELIVER_MS = 30
_START = "Choose a folder of texts, then ask for something in your own words."
_READING = "The folder is being read. Its texts can be found as soon as it is done."
_NOTHING = "Nothing was found."
_NO_MODEL = "Without a model nothing can be searched."


class Window:
    """The app's only window.

    Args:
        root: Tk's root, which it fills.
        bundle: A bundle of a sentence embedding model.
        store_folder: Where indexes are kept.
        folder: The folder to begin with, or none.
    """

    def __init__(
        self, root: tk.Tk, bundle: Path, store_folder: Path, folder: Path | None = None
    ) -> None:
        self.root = root
        self.folder = folder
        self.engine: Engine | None = None
        self._cancel = threading.Event()
        self._due = ""  # the search that waits for a pause in typing
        # Two workers: a search must not wait until the folder is indexed.
        self._indexing = Worker(self._indexing_failed)
        self._searching = Worker(self.tell_error)
        apply(root)
        self._build()
        self._indexing.start(lambda: Engine(bundle, store_folder), self._opened)
        self._deliver()

    # What the user does

    def choose_folder(self) -> None:
        """Asks for a folder and indexes it."""
        chosen = filedialog.askdirectory(parent=self.root, title="Folder of texts", mustexist=True)
        if chosen:
            self.open_folder(Path(chosen))

    def open_folder(self, folder: Path) -> None:
        """Indexes a folder, in place of the one at hand."""
        self.cancel()
        self.folder = folder
        self._index()

    def cancel(self) -> None:
        """Stops the indexing under way; what is done so far is kept."""
        self._cancel.set()

    def search(self) -> None:
        """Searches for what the entry holds now."""
        engine, query = self.engine, self.query.get()
        if engine is None:
            return
        if not query.strip():
            self.results.show((), _START)
            return
        started = time.perf_counter()
        self._searching.start(
            lambda: engine.search(query), lambda found: self._found(query, found, started)
        )

    def close(self) -> None:
        """Ends the work and the window."""
        self.cancel()
        self._searching.close()
        self._indexing.close()
        if self.engine is not None:
            self.engine.close()
        self.root.destroy()

    # What the workers report

    def _opened(self, engine: Engine) -> None:
        self.engine = engine
        self.model_label.configure(text=engine.model_name)
        self.choose.state(["!disabled"])
        self.results.show((), _START)
        if self.folder is not None:
            self._index()

    def _index(self) -> None:
        engine, folder = self.engine, self.folder
        if engine is None or folder is None:
            return
        self._cancel = cancel = threading.Event()
        self.hide_error()
        self.folder_label.configure(text=str(folder))
        self.progress.configure(value=0)
        self.progress_label.configure(text="Looking for texts…")
        self.progress_row.pack(fill="x", pady=(12, 0), before=self.results)
        self.results.show((), _READING)

        def report(progress: Progress) -> None:
            self._indexing.post(lambda: self._show_progress(progress))

        def then(refreshed: Refreshed) -> None:
            if cancel is self._cancel:  # else another folder was chosen, and is being read now
                self._indexed(refreshed)

        self._indexing.start(lambda: engine.refresh(folder, report, cancel.is_set), then)

    def _show_progress(self, progress: Progress) -> None:
        self.progress.configure(maximum=progress.total, value=progress.done)
        self.progress_label.configure(
            text=f"Reading {progress.done + 1:,} of {progress.total:,}: {progress.file}"
        )

    def _indexed(self, refreshed: Refreshed) -> None:
        self.progress_row.pack_forget()
        outcome = refreshed.outcome
        files = len(outcome.index.files)
        told = f"{len(outcome.index.passages):,} passages of {files:,} files"
        if outcome.cancelled:
            told += " · stopped early, choose the folder again to go on"
        if outcome.unreadable:
            told += f" · {len(outcome.unreadable):,} files could not be read"
        self.status.configure(text=f"{told}  {refreshed.note}".strip())
        self.search()

    def _found(self, query: str, found: Found, started: float) -> None:
        if query != self.query.get():
            return  # the user typed on; a newer search is under way
        self.results.show(found.hits, _NOTHING)
        took = 1000 * (time.perf_counter() - started)
        unread = f"too long: {found.unread:,} of its tokens were not read · "
        self.timing.configure(text=f"{unread if found.unread else ''}{took:.0f} ms")

    def _indexing_failed(self, message: str) -> None:
        self.progress_row.pack_forget()
        self.results.show((), _START if self.engine else _NO_MODEL)
        self.tell_error(message)

    def tell_error(self, message: str) -> None:
        """Shows an error until the next success or until it is clicked away."""
        self.error_label.configure(text=message)
        self.error_row.pack(fill="x", pady=(12, 0), before=self.results)

    def hide_error(self) -> None:
        """Takes the error away."""
        self.error_row.pack_forget()

    def _open_hit(self, hit: Hit) -> None:
        if self.folder is None:
            return
        try:
            open_file(self.folder / hit.passage.file)
        except OSError as exc:
            self.tell_error(str(exc))

    # How it is built

    def _build(self) -> None:
        self.root.title("Semantic search")
        self.root.geometry("860x640")
        self.root.minsize(560, 420)
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        page = ttk.Frame(self.root, padding=(24, 18, 24, 12))
        page.pack(fill="both", expand=True)
        self._build_header(page)
        self._build_search(page)
        self._build_footer(page)
        self.results = Results(page, self._open_hit)
        self.results.pack(fill="both", expand=True, pady=(12, 0))
        self.results.show((), "Opening the model…")
        self._build_progress(page)
        self._build_error(page)

    def _build_header(self, page: ttk.Frame) -> None:
        header = ttk.Frame(page)
        header.pack(fill="x")
        self.choose = ttk.Button(header, text="Choose folder…", command=self.choose_folder)
        self.choose.state(["disabled"])
        self.choose.pack(side="right")
        ttk.Label(header, text="Semantic search", style="Title.TLabel").pack(anchor="w")
        self.folder_label = ttk.Label(header, text="No folder chosen", style="Muted.TLabel")
        self.folder_label.pack(anchor="w")

    def _build_search(self, page: ttk.Frame) -> None:
        self.query = tk.StringVar(self.root)
        self.query.trace_add("write", lambda *_: self._typed())
        entry = ttk.Entry(page, textvariable=self.query, style="Search.TEntry", font="AppSearch")
        entry.pack(fill="x", pady=(14, 0))
        entry.focus_set()
        entry.bind("<Down>", lambda _: self.results.choose(self.results.chosen + 1))
        entry.bind("<Up>", lambda _: self.results.choose(self.results.chosen - 1))
        entry.bind("<Return>", lambda _: self.results.open_chosen())
        entry.bind("<Escape>", lambda _: self.query.set(""))

    def _build_footer(self, page: ttk.Frame) -> None:
        footer = ttk.Frame(page)
        footer.pack(side="bottom", fill="x", pady=(8, 0))
        self.status = ttk.Label(footer, text="", style="Muted.TLabel")
        self.status.pack(side="left")
        self.model_label = ttk.Label(footer, text="", style="Muted.TLabel")
        self.model_label.pack(side="right")
        self.timing = ttk.Label(footer, text="", style="Muted.TLabel")
        self.timing.pack(side="right", padx=(0, 16))

    def _build_progress(self, page: ttk.Frame) -> None:
        self.progress_row = ttk.Frame(page)
        ttk.Button(self.progress_row, text="Cancel", command=self.cancel).pack(side="right")
        self.progress_label = ttk.Label(self.progress_row, style="Muted.TLabel")
        self.progress_label.pack(anchor="w")
        self.progress = ttk.Progressbar(self.progress_row)
        self.progress.pack(fill="x", padx=(0, 16), pady=(4, 0))

    def _build_error(self, page: ttk.Frame) -> None:
        self.error_row = tk.Frame(page, background=RED_PAPER, padx=12, pady=8)
        self.error_label = tk.Label(
            self.error_row,
            background=RED_PAPER,
            foreground=RED,
            font="AppText",
            justify="left",
            anchor="w",
        )
        self.error_label.pack(fill="x")
        self.error_label.bind("<Button-1>", lambda _: self.hide_error())
        self.error_row.bind(
            "<Configure>", lambda event: self.error_label.configure(wraplength=event.width - 24)
        )

    def _typed(self) -> None:
        if self._due:
            self.root.after_cancel(self._due)
        self._due = self.root.after(_TYPING_MS, self._pause)

    def _pause(self) -> None:
        self._due = ""
        self.search()

    def _deliver(self) -> None:
        self._indexing.deliver()
        self._searching.deliver()
        self.root.after(_DELIVER_MS, self._deliver)
