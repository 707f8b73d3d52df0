"""Who may import whom, and what importing edge_tx costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Packages of other people that must not be imported by a module of edge_tx as it loads.
HEAVY = frozenset({
    "torch", "transformers", "onnx", "onnxscript", "onnxruntime", "optimum", "safetensors",
    "sentence_transformers", "tokenizers", "huggingface_hub", "sentencepiece",
})  # fmt: skip
# Those of them that belong to the machine that exports, not to the device.
EXPORT_ONLY = HEAVY - {"onnxruntime", "tokenizers"}


@dataclass(frozen=True)
class Room:
    """A part of edge_tx and what its modules may import, lazily or not."""

    folder: str
    package: str
    may_import: tuple[str, ...]
    export_tools: bool = False


# Prefixes of edge_tx' own modules. The core names the rooms only as text in its tables.
CORE = "core"
ROOMS = (
    Room("edge_tx", "edge_tx", (CORE,)),
    Room("edge_tx/tasks", "edge_tx.tasks", (CORE,)),
    Room("edge_tx/views", "edge_tx.views", (CORE,)),
    Room("runtimes", "edge_tx.runtimes", (CORE, "edge_tx.runtimes")),
    Room("exporters", "edge_tx.exporters", (CORE, "edge_tx.exporters"), export_tools=True),
    Room(
        "calibration",
        "edge_tx.calibration",
        (
            CORE,
            "edge_tx.calibration",
            "edge_tx.exporters.checkpoint",
            "edge_tx.exporters.network",
            "edge_tx.exporters.onnx_file",
            "edge_tx.exporters.pruned",
            "edge_tx.exporters.pruned_layouts",
            "edge_tx.exporters.quiet",
            "edge_tx.exporters.source",
            "edge_tx.exporters.traced",
        ),
        export_tools=True,
    ),
    Room("bench", "edge_tx.bench", (CORE, "edge_tx.runtimes", "edge_tx.bench")),
    Room(
        "edge_tx/optimizing",
        "edge_tx.optimizing",
        (CORE, "edge_tx.optimizing", "edge_tx.exporters", "edge_tx.calibration", "edge_tx.bench"),
    ),
    Room("edge_tx/cli", "edge_tx.cli", ("",)),
)
SHELVES = ("edge_tx.runtimes", "edge_tx.exporters", "edge_tx.calibration", "edge_tx.bench",
           "edge_tx.optimizing", "edge_tx.cli")  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import statement: what, where, and whether it runs when the module loads."""

    module: str
    where: str
    at_load: bool


def imports_of(path: Path) -> Iterator[Import]:
    yield from _walk(ast.parse(path.read_text(encoding="utf-8")), path, at_load=True)


def _walk(node: ast.AST, path: Path, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        where = f"{path.relative_to(ROOT)}:{getattr(child, 'lineno', 0)}"
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, where, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{where}: relative import"
            yield from (Import(f"{child.module}.{a.name}", where, at_load) for a in child.names)
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _walk(child, path, at_load and not inside)


def files_of(room: Room) -> list[Path]:
    # __main__ is the command line in the core's folder.
    return sorted(p for p in (ROOT / room.folder).glob("*.py") if p.name != "__main__.py")


def all_files() -> list[Path]:
    return [path for room in ROOMS for path in files_of(room)]


def is_core(module: str) -> bool:
    return _within(module, "edge_tx") and not any(_within(module, shelf) for shelf in SHELVES)


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def _allowed(room: Room, module: str) -> bool:
    return any(
        is_core(module) if prefix == CORE else not prefix or _within(module, prefix)
        for prefix in room.may_import
    )


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.folder)
def test_rooms_import_only_what_they_may(room: Room) -> None:
    mine = [found for path in files_of(room) for found in imports_of(path)]
    wrong = [
        f"{found.where} imports {found.module}"
        for found in mine
        if _within(found.module, "edge_tx") and not _allowed(room, found.module)
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.folder)
def test_export_tools_stay_where_checkpoints_are_read(room: Room) -> None:
    mine = [found for path in files_of(room) for found in imports_of(path)]
    wrong = [
        f"{found.where} imports {found.module}"
        for found in mine
        if found.module.partition(".")[0] in EXPORT_ONLY and not room.export_tools
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.folder)
def test_heavy_packages_are_imported_when_used(room: Room) -> None:
    """Modules that only other modules of exporters import, and then lazily, may need torch."""
    banned = {"onnxruntime"} if room.export_tools else HEAVY
    mine = [found for path in files_of(room) for found in imports_of(path)]
    wrong = [
        f"{found.where} imports {found.module}"
        for found in mine
        if found.at_load and found.module.partition(".")[0] in banned
    ]
    assert wrong == []


@pytest.mark.parametrize("path", all_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_never_imported_by_their_folder_name(path: Path) -> None:
    folders = {"exporters", "runtimes", "calibration", "bench"}
    assert [f.where for f in imports_of(path) if f.module.partition(".")[0] in folders] == []


@pytest.mark.parametrize("path", all_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/home/", "/Users/", "/root/", "/work/", "C:\\\\"))


def test_files_stay_short_enough_to_read() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in all_files()}
    assert {p.name: n for p, n in lengths.items() if n > 500} == {}


VENDORS = sorted(HEAVY | {"openvino", "tensorrt", "ai_edge_litert", "scipy", "pandas"})


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh process after running code."""
    script = f"import sys\n{code}\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {line.partition(".")[0] for line in done.stderr.split()}


@pytest.mark.parametrize(
    ("code", "also_absent"),
    [
        ("import edge_tx", {"numpy", "click", "rich"}),
        ("import edge_tx.cli", {"numpy", "rich"}),
        ("from edge_tx.cli.app import run\nrun(['--help'])", {"numpy", "rich"}),
        ("from edge_tx.cli.app import run\nrun(['run', '--help'])", {"numpy", "rich"}),
        ("from edge_tx.cli.app import run\nrun(['doctor', '-q'])", set()),
        ("import edge_tx\nedge_tx.export", {"rich"}),
        ("import edge_tx\nedge_tx.load", {"click", "rich"}),
        ("import edge_tx\nedge_tx.quantize, edge_tx.evaluate, edge_tx.prune", {"click", "rich"}),
        ("from edge_tx.cli.app import run\nrun(['recipes', '-q'])", set()),
        ("import edge_tx.tasks, edge_tx.backends, edge_tx.device", {"click", "rich"}),
    ],
)
def test_importing_is_light(code: str, also_absent: set[str]) -> None:
    assert loaded_by(code) & {*VENDORS, *also_absent} == set()
