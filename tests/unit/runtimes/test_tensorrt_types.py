"""The builder and the session, type-checked against the real API instead of our own facade.

mypy's stubgen writes stubs of the installed module; the facade is shadowed by aliases to them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_tx.backends import find

pytest.importorskip("mypy", reason="pip install 'edge-tx[dev]'")
if find("tensorrt_rtx").module != "tensorrt_rtx_bindings":
    pytest.skip("pip install 'edge-tx[tensorrt-rtx]'", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
CHECKED = ("tensorrt_build.py", "tensorrt_lanes.py", "tensorrt.py", "tensorrt_engines.py")

SHADOW = """
from collections.abc import Mapping
from typing import Any
import real_tensorrt as t
from real_tensorrt import (
    Builder as Builder, Dims as Dims, OnnxParser as OnnxParser, ParserError as ParserError,
    Runtime as Runtime, IBuilderConfig as BuilderConfig, IBuilderConfig as RtxBuilderConfig,
    ICudaEngine as Engine, IExecutionContext as ExecutionContext, IHostMemory as HostMemory,
    ILogger as Logger, INetworkDefinition as Network, ITensor as NetworkInput,
    IOptimizationProfile as OptimizationProfile, ITimingCache as TimingCache,
)
class Api:
    __version__: str
    Builder: type[t.Builder]
    OnnxParser: type[t.OnnxParser]
    Runtime: type[t.Runtime]
    NetworkDefinitionCreationFlag: type[t.NetworkDefinitionCreationFlag]
    BuilderFlag: type[t.BuilderFlag]
    MemoryPoolType: type[t.MemoryPoolType]
    ComputeCapability: type[t.ComputeCapability]
AHEAD_OF_TIME: Mapping[str, bool]
def load(row: Any) -> Api: ...
def messages(api: Api) -> Any: ...
"""

# What the documentation says and signatures do not.
DOCUMENTED = {
    "a tuple becomes Dims where one is wanted": (r"(min|opt|max): Dims\b", r"\1: tuple[int, ...]"),
    "Dims are iterable": (
        r"class Dims:\n",
        "class Dims:\n    def __iter__(self) -> collections.abc.Iterator[int]: ...\n",
    ),
    "host memory is a buffer": (
        r"class IHostMemory:\n",
        "class IHostMemory:\n    def __buffer__(self, flags: int, /) -> memoryview: ...\n",
    ),
    "None tells that it failed": (
        r"(def (?:build_serialized_network|deserialize_cuda_engine|create_execution_context)\(.*"
        r"-> \w+):",
        r"\1 | None:",
    ),
}


def broken_line(lines: list[str]) -> int | None:
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as exc:
        return exc.lineno
    return None


def stubs(folder: Path) -> str:
    """Stubs of the module, without the few methods whose signatures are not valid Python."""
    call = "from mypy.stubgen import main; main()"  # compiled, so -m does not run it
    command = [sys.executable, "-c", call, "-q", "--inspect-mode", "-o", str(folder)]
    module = "tensorrt_rtx_bindings.tensorrt_rtx"
    subprocess.run([*command, "-m", module], check=True, capture_output=True, timeout=120)
    lines = (folder / f"{module.replace('.', '/')}.pyi").read_text().splitlines()
    while broken := broken_line(lines):
        lines[broken - 1] = ""
    # The module's own `bool`, a DataType, hides Python's.
    lines = [line for line in lines if not line.startswith("bool: ")]
    text = "\n".join(lines)
    for fact, (pattern, instead) in DOCUMENTED.items():
        text, count = re.subn(pattern, instead, text)
        assert count, f"nothing in the stubs for: {fact}"
    return text


def test_code_fits_the_real_api(tmp_path: Path) -> None:
    real, shadow = tmp_path / "path", tmp_path / "tensorrt_api.py"
    real.mkdir()
    (real / "real_tensorrt.pyi").write_text(stubs(tmp_path / "stubs"))
    shadow.write_text(SHADOW)
    facade = "edge_tx/runtimes/tensorrt_api.py"
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n"
        f"mypy_path = {real}\ncheck_untyped_defs = True\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--show-error-end"]
    command += ["--cache-dir", str(tmp_path / "cache"), "--shadow-file", facade, str(shadow)]
    files = [f"edge_tx/runtimes/{name}" for name in CHECKED]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    ours = [line for line in done.stdout.splitlines() if line.startswith("edge_tx/")]
    assert ours == [], done.stdout
    assert re.search(r"Success|\(checked 4 source files\)", done.stdout), done.stdout + done.stderr
