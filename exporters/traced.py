"""What a checkpoint becomes before it is exported: one module, its feeds, its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.manifest import Source, TaskSettings
from edge_tx.policy import TokenizerPolicy
from edge_tx.tensors import Array, TensorSpec

if TYPE_CHECKING:
    import torch

__all__ = ["ExportOptions", "Exported", "Traced"]


@dataclass(frozen=True)
class Traced:
    """A checkpoint, ready to be exported by any backend.

    Attributes:
        module: In eval mode and fp32. Called with the inputs in order, as positional tensors,
            it returns a tuple of the outputs in order. Everything the graph must hold is
            inside: pooling, dense layers, normalisation.
        inputs: ``int64[batch, seq]`` each.
        outputs: Names and shapes.
        task: Name of the task.
        settings: What the task must know.
        policy: How the tokenizer is used.
        tokenizer_json: Contents of ``tokenizer.json``.
        source: Where the weights came from.
    """

    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    task: str
    settings: TaskSettings
    policy: TokenizerPolicy
    tokenizer_json: str
    source: Source

    def reference(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the module in torch: the fp32 truth that graphs are held against.

        Args:
            feeds: ``int64[batch, seq]`` by input name.

        Returns:
            Arrays by output name.
        """
        import torch

        with torch.inference_mode():
            outs = self.module(*(torch.from_numpy(feeds[spec.name]) for spec in self.inputs))
        return {spec.name: out.numpy() for spec, out in zip(self.outputs, outs, strict=True)}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an exporter may be told.

    Attributes:
        precision: One of those that the backend row exports.
        route: Name of a route of that exporter, or empty for the table's choice.
        opset: ONNX opset; 0 for the exporter's default.
        buckets: ``(batch, tokens)`` of each fixed shape, for backends without dynamic shapes;
            empty for the exporter's default.
        lengths: Tokens of each of the user's own texts, for backends that choose their fixed
            shapes by them where no buckets are given; empty if there are none.
    """

    precision: str = "fp32"
    route: str = ""
    opset: int = 0
    buckets: tuple[tuple[int, int], ...] = ()
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """What an exporter wrote into its folder.

    Attributes:
        entry: The file to open.
        precision: Of the graph.
        route: How it was made, for the manifest.
        tools: Versions of the packages that made it.
        checks: What it was held to already, and how that went, by name.
    """

    entry: Path
    precision: str
    route: str
    tools: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
