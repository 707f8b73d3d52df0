"""The package list, the links and the wheel agree with the folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("exporters", "calibration", "runtimes", "bench")
APPS = sorted(path.name for path in (ROOT / "edge_tx" / "apps").iterdir() if path.is_symlink())
BUILT = ("node_modules", "dist", "build", "model", "__pycache__", "*.pyc", "*.egg-info")


@pytest.fixture(scope="module")
def project() -> Any:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def python_files(room: str) -> Iterator[Path]:
    """Paths inside a folder of the root, relative to it; links to the rooms are not followed."""
    for path in sorted((ROOT / room).rglob("*.py")):
        if not any(parent.is_symlink() for parent in path.parents if parent != ROOT):
            yield path.relative_to(ROOT / room)


def modules() -> set[str]:
    """Where every module must lie in the wheel."""
    core = {f"edge_tx/{path.as_posix()}" for path in python_files("edge_tx")}
    rooms = {
        f"edge_tx/{room}/{path.as_posix()}"
        for room in ROOMS
        for path in python_files(room)
        if is_packaged(room, path)
    }
    return core | rooms


def is_packaged(room: str, path: Path) -> bool:
    """Scripts beside a room (benchmarks of others, say) lie in folders without __init__.py."""
    return all((ROOT / room / parent / "__init__.py").exists() for parent in path.parents)


def test_every_folder_of_modules_is_a_listed_package(project: Any) -> None:
    found = {str(Path(m).parent).replace("/", ".") for m in modules()}
    found |= {f"edge_tx.apps.{app}" for app in APPS}
    assert set(project["tool"]["setuptools"]["packages"]) == found


@pytest.mark.parametrize("app", APPS)
def test_apps_are_mapped_and_linked(project: Any, app: str) -> None:
    tool = project["tool"]["setuptools"]
    assert tool["package-dir"][f"edge_tx.apps.{app}"] == f"examples/{app}"
    assert tool["package-data"][f"edge_tx.apps.{app}"] == ["**/*", "**/.*"]
    assert (ROOT / "edge_tx" / "apps" / app).readlink().as_posix() == f"../../examples/{app}"


def test_every_folder_of_the_core_has_an_init() -> None:
    folders = {ROOT / "edge_tx" / path.parent for path in python_files("edge_tx")}
    assert all((folder / "__init__.py").exists() for folder in folders)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_mapped_and_linked(project: Any, room: str) -> None:
    assert project["tool"]["setuptools"]["package-dir"][f"edge_tx.{room}"] == room
    link = ROOT / "edge_tx" / room
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../{room}"


def test_version_is_said_once_and_the_same(project: Any) -> None:
    import edge_tx

    assert project["project"]["version"] == edge_tx.__version__


def test_wheel_holds_every_module_and_data_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    ignored = shutil.ignore_patterns(*BUILT)
    for name in ("edge_tx", "examples", *ROOMS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert modules() <= held
    assert data_files() | page_files() <= held
    assert app_files(source) <= held
    assert not [name for name in held if "node_modules" in name]
    assert {name.split("/")[0] for name in held if ".dist-info" not in name} == {"edge_tx"}


def page_files() -> set[str]:
    """What a report's page is made of, the library that draws its charts and its licence too."""
    kinds = (".css", ".js", ".md")
    found = (ROOT / "edge_tx" / "views").rglob("*")
    return {path.relative_to(ROOT).as_posix() for path in found if path.suffix in kinds}


def app_files(source: Path) -> set[str]:
    """Files of the apps, where the wheel must hold them."""
    return {
        f"edge_tx/apps/{path.relative_to(source / 'examples').as_posix()}"
        for app in APPS
        for path in (source / "examples" / app).rglob("*")
        if path.is_file()
    }


def data_files() -> set[str]:
    """Files of the packages that are not modules, where the wheel must hold them."""
    found = set()
    for room in ("edge_tx", *ROOMS):
        base = "edge_tx" if room == "edge_tx" else f"edge_tx/{room}"
        for folder in {ROOT / room / p.parent for p in python_files(room)}:
            for path in folder.iterdir():
                inside = path.relative_to(ROOT / room)
                if path.is_file() and path.suffix not in (".py", ".pyc", ".md"):
                    found.add(f"{base}/{inside.as_posix()}")
    return found
