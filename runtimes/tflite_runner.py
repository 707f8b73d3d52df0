"""An open TFLite graph for one call at a time, in whichever runtime is installed.

LiteRT and tflite-runtime share the Interpreter. LiteRT's newer CompiledModel was measured equally
fast; it writes some thirty log lines to stderr with no switch for them, some as the process ends,
and tflite-runtime does not have it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge_tx.tensors import Array

__all__ = ["RUNTIMES", "Runner", "Runtime", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor of a signature: its name, numpy's name of its type, and its fixed sizes."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A vendor package that runs TFLite graphs.

    Attributes:
        title: What it is called in messages.
        package: Whose version is told.
        module: Holds the class ``Interpreter``.
    """

    title: str
    package: str
    module: str

    @property
    def label(self) -> str:
        """Package and version."""
        return f"{self.package} {version(self.package)}"


#: By module, as the backend's row names them.
RUNTIMES: Mapping[str, Runtime] = {
    "ai_edge_litert": Runtime("LiteRT", "ai-edge-litert", "ai_edge_litert.interpreter"),
    "tflite_runtime": Runtime("tflite-runtime", "tflite-runtime", "tflite_runtime.interpreter"),
}


class Runner:
    """A graph in an Interpreter, which serves one call at a time.

    Args:
        runtime: Which Interpreter.
        entry: The file; it is mapped, so that several runners share its pages.
        threads: CPU threads of XNNPACK.
    """

    def __init__(self, runtime: Runtime, entry: Path, threads: int) -> None:
        interpreter = importlib.import_module(runtime.module).Interpreter
        self._interpreter: Any = interpreter(str(entry), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._signatures = {
            name: self._interpreter.get_signature_runner(name)
            for name in self._interpreter.get_signature_list()
        }

    @property
    def signatures(self) -> Mapping[str, tuple[tuple[Shape, ...], tuple[Shape, ...]]]:
        """Inputs and outputs by signature."""
        return {
            name: (_in_order(one.get_input_details()), _in_order(one.get_output_details()))
            for name, one in self._signatures.items()
        }

    def run(self, signature: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs a signature.

        Args:
            signature: Its name.
            feeds: Arrays of exactly its shapes and types.

        Returns:
            Arrays by output name, owned by the caller.
        """
        results: dict[str, Array] = self._signatures[signature](**feeds)
        return results


def _in_order(details: Mapping[str, Any]) -> tuple[Shape, ...]:
    """Interpreter lists tensors by name; their indices are in the order of the graph."""
    names = sorted(details, key=lambda name: int(details[name]["index"]))
    return tuple(
        Shape(
            name,
            np.dtype(details[name]["dtype"]).name,
            tuple(int(n) for n in details[name]["shape"]),
        )
        for name in names
    )
