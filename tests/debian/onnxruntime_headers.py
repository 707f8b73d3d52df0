"""The headers of ONNX Runtime, for the C++ program on it: no package of PyPI or npm has them.

Debian's are older than the library in the wheel, whose C interface keeps all that it ever had.

Usage: python -m tests.debian.onnxruntime_headers FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.debian import apt

PACKAGE = "libonnxruntime-dev"
HEADERS = "usr/include/onnxruntime"


def main() -> None:
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        apt.unpack(apt.download(base, "amd64", PACKAGE), base / "files")
        found = base / "files" / HEADERS
        if not (found / "onnxruntime_cxx_api.h").is_file():
            sys.exit(f"{PACKAGE} has no {HEADERS}/onnxruntime_cxx_api.h any more")
        folder.mkdir(parents=True, exist_ok=True)
        for header in found.glob("*.h"):
            (folder / header.name).write_bytes(header.read_bytes())


if __name__ == "__main__":
    main()
