"""Draws ``docs/images/demo.svg`` from a real run of the demo: ``make images``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 88


def main() -> None:
    """Runs the demo and draws what it printed."""
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    target = ROOT / "docs" / "images" / "demo.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(drawing(done.stdout.decode()), encoding="utf-8")


def drawing(output: str) -> str:
    """An SVG of a terminal's output.

    Args:
        output: Text with ANSI colours; of a line that was overwritten, its last state counts.
    """
    output = re.sub(r"\x1b\[\?25[hl]", "", output)  # the cursor, hidden and shown
    output = re.sub(r"[^\n]*\n\r?\x1b\[1A(\x1b\[2K)?", "", output)  # a line that was taken back
    lines = (re.sub(r"\x1b\[\??\d*[A-KSThl]", "", line) for line in output.split("\n"))
    last = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(last.rstrip()))
    svg = console.export_svg(title="make demo")
    # rich names a font on another host; a picture in a README may load nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
