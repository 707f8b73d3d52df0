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
    last = settled(output)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(last.rstrip()))
    svg = console.export_svg(title="make demo")
    # rich names a font on another host; a picture in a README may load nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def settled(output: str) -> str:
    """What stays on a terminal when progress was drawn and taken back.

    Args:
        output: What was written to it: text, and moves between the lines and back to their start.
    """
    lines, row, at_start = [""], 0, True
    for part in re.split(r"(\n|\r|\x1b\[\??\d*[A-KSThl])", output):
        if part == "\n":
            row, at_start = row + 1, True
            lines += [""] * (row == len(lines))
        elif part == "\r":
            at_start = True
        elif part == "\x1b[1A":
            row = max(0, row - 1)
        elif part == "\x1b[2K":
            lines[row], at_start = "", True
        elif part and not re.fullmatch(r"\x1b\[\??\d*[A-KSThl]", part):
            lines[row], at_start = part if at_start else lines[row] + part, False
    return "\n".join(lines)


if __name__ == "__main__":
    main()
