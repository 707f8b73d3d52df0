"""``python -m semantic_search BUNDLE [FOLDER]``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """Opens the window and returns when it is closed."""
    parser = argparse.ArgumentParser(prog="semantic_search", description=__doc__)
    parser.add_argument("bundle", type=Path, help="a bundle of a sentence embedding model")
    parser.add_argument("folder", type=Path, nargs="?", help="the folder to begin with")
    parser.add_argument("--store", type=Path, default=_store(), help="where indexes are kept")
    args = parser.parse_args()
    try:
        import tkinter as tk
    except ImportError:
        sys.stderr.write("this Python has no Tk: install python3-tk or Python from python.org\n")
        return 3
    from .window import Window

    try:
        root = tk.Tk(className="Semantic search")
    except tk.TclError as exc:
        sys.stderr.write(f"no window can be opened here: {exc}\n")
        return 13
    Window(root, args.bundle, args.store, args.folder)
    root.mainloop()
    return 0


def _store() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge_tx_semantic_search"


if __name__ == "__main__":
    sys.exit(main())
