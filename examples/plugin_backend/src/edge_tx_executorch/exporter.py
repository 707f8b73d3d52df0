"""ExecuTorch graphs: one ``model.pte`` for the XNNPACK delegate, with dynamic batch and length."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_tx.errors import ExportFailed, InvalidConfig, MissingDependency, UnknownName
from edge_tx.exporters.attention import written_out_attention
from edge_tx.exporters.quiet import quiet
from edge_tx.exporters.traced import Exported, ExportOptions, Traced
from edge_tx_executorch import specs

__all__ = ["ROUTE", "check_options", "export", "most_rows"]

ROUTE = "torch-export"

# Memory is planned for the largest shape when a graph is loaded, attention's scores included.
_MOST_ROWS = 8
_MOST_TOKENS = 2048
_LONGEST = 3072


def check_options(options: ExportOptions) -> None:
    """Checks what can be checked before a checkpoint is loaded.

    Raises:
        UnknownName: No such route.
        InvalidConfig: A precision, opset or buckets, none of which this exporter has.
        MissingDependency: ExecuTorch is not installed.
    """
    if options.route not in ("", ROUTE):
        raise UnknownName("ExecuTorch route", options.route, (ROUTE,))
    if options.precision != "fp32":
        raise InvalidConfig(f"the ExecuTorch exporter writes fp32, not {options.precision}")
    if options.opset or options.buckets:
        raise InvalidConfig("ExecuTorch graphs take any shape: they have no buckets, and no opset")
    if importlib.util.find_spec("executorch.version") is None:
        raise MissingDependency("executorch", "exporting to ExecuTorch", "pip install executorch")


def export(traced: Traced, folder: Path, options: ExportOptions | None = None) -> Exported:
    """Writes ``model.pte`` into a folder.

    Args:
        traced: The checkpoint.
        folder: An empty folder.
        options: Nothing but their defaults can be had.

    Returns:
        What was written.

    Raises:
        UnknownName: No such route.
        InvalidConfig: An option that there is not, or rows too long to plan memory for.
        MissingDependency: ExecuTorch is not installed.
        ExportFailed: ExecuTorch failed.
    """
    check_options(options or ExportOptions())
    if traced.policy.max_length > _LONGEST:
        raise InvalidConfig(
            f"ExecuTorch plans memory for the longest row, and {traced.policy.max_length} tokens "
            f"need too much: give a max_length of up to {_LONGEST}"
        )
    entry = folder / "model.pte"
    try:
        with quiet(), written_out_attention(traced.module), entry.open("wb") as file:
            _lowered(traced).write_to_file(file)
    except Exception as exc:  # torch and ExecuTorch raise of every kind here
        line = " ".join(str(exc).split())[:200]
        raise ExportFailed(
            f"ExecuTorch cannot export {traced.source.architecture} "
            f"({traced.source.model_type}): {type(exc).__name__}: {line}"
        ) from exc
    tools = {name: version(name) for name in ("torch", "transformers", "executorch")}
    return Exported(entry=entry, precision="fp32", route=ROUTE, tools=tools)


def most_rows(max_length: int) -> int:
    """Rows that a graph runs at once, so that memory stays in bounds."""
    return max(1, min(_MOST_ROWS, _MOST_TOKENS // max_length))


def _lowered(traced: Traced) -> Any:
    """The module as an ExecuTorch program, whatever XNNPACK can take delegated to it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from torch.export import Dim

    rows, longest = most_rows(traced.policy.max_length), traced.policy.max_length
    dims = {1: Dim("seq", min=1, max=longest)}
    if rows > 1:
        dims[0] = Dim("batch", min=1, max=rows)
    # Sizes above 1, which torch.export would take for fixed.
    example = torch.ones((min(2, rows), min(7, longest)), dtype=torch.int64)
    with torch.no_grad():
        program = torch.export.export(
            traced.module,
            tuple(example.clone() for _ in traced.inputs),
            dynamic_shapes=tuple(dims for _ in traced.inputs),
        )
    return to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        # ExecuTorch's check asks an operator that returns a list, as split does, for the length of
        # its first tensor, and by that fixes the batch at the example's.
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
        constant_methods={specs.METHOD: specs.dumps(traced.inputs, traced.outputs)},
    ).to_executorch()
