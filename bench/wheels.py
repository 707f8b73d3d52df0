"""The wheel of this very edge_tx, to be installed elsewhere."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import edge_tx
from edge_tx.errors import InvalidConfig, RemoteFailed

__all__ = ["build", "extras", "find", "identity"]

_ROOMS = ("edge_tx", "exporters", "calibration", "runtimes", "bench", "examples")
_FILES = ("pyproject.toml", "README.md", "LICENSE")


def find(wheelhouse: Path) -> Path | None:
    """The newest wheel of edge_tx in a folder of wheels; None if it has none.

    Raises:
        InvalidConfig: It is not a folder of wheels.
    """
    if not any(wheelhouse.glob("*.whl")):
        raise InvalidConfig(
            f"{wheelhouse} holds no wheels: fill it with pip download --dest {wheelhouse}, "
            "for the target's platform and Python"
        )
    ours = sorted(wheelhouse.glob("edge_tx-*.whl"), key=lambda path: path.stat().st_mtime)
    return ours[-1] if ours else None


def build(folder: Path) -> Path:
    """Builds the wheel from the checkout that this edge_tx runs from.

    Args:
        folder: Where to write it.

    Raises:
        InvalidConfig: This edge_tx does not run from a checkout.
        RemoteFailed: Building failed.
    """
    root = Path(edge_tx.__file__).resolve().parent.parent
    if not all((root / name).exists() for name in (*_ROOMS, *_FILES)):
        raise InvalidConfig(
            "this edge_tx was not installed from a checkout, so there is nothing to build a wheel "
            "from: put edge_tx's wheel and what it needs in a folder and give --wheelhouse"
        )
    source = folder / "source"
    source.mkdir()
    # A copy: setuptools writes beside the sources, and a checkout is not ours to write in.
    for name in _ROOMS:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "node_modules")
        shutil.copytree(root / name, source / name, symlinks=True, ignore=ignored)
    for name in _FILES:
        shutil.copy(root / name, source)
    code = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RemoteFailed(
            f"building edge_tx's wheel failed: {lines[-1][:200]} (it needs setuptools>=77, or "
            "give --wheelhouse with a wheel in it)"
        )
    [wheel] = folder.glob("*.whl")
    return wheel


def extras(wheel: Path) -> frozenset[str]:
    """Names of the extras that a wheel can be installed with."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    return frozenset(headers.get_all("Provides-Extra") or ())


def identity(wheel: Path) -> str:
    """A hash of what a wheel holds; the same for one that is built again from the same files."""
    with zipfile.ZipFile(wheel) as archive:
        members = sorted((info.filename, info.CRC) for info in archive.infolist())
    return hashlib.sha256(repr(members).encode()).hexdigest()
