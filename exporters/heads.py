"""The modules that are exported: a transformer, called by position, with its outputs as a tuple.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from edge_tx.tensors import DType, TensorSpec

__all__ = ["HEADS", "Head", "SentenceModule", "TaskModule", "inputs_of", "outputs_of"]

# Last dimensions, which depend on the model.
_WIDTH = -1


@dataclass(frozen=True, slots=True)
class Head:
    """What a task needs of a model.

    Attributes:
        auto: Task by which optimum's TasksManager finds the model's class.
        outputs: Names of the outputs, which are also the fields of the model's own output.
        axes: Axes of each output; -1 is the model's own width.
    """

    auto: str
    outputs: tuple[str, ...]
    axes: tuple[str | int, ...]


_LOGITS = ("logits",)
_PER_TOKEN: tuple[str | int, ...] = ("batch", "seq", _WIDTH)
_PER_TEXT: tuple[str | int, ...] = ("batch", _WIDTH)

HEADS: Mapping[str, Head] = {
    "sentence-embedding": Head("feature-extraction", ("sentence_embedding",), _PER_TEXT),
    "feature-extraction": Head("feature-extraction", ("last_hidden_state",), _PER_TOKEN),
    "text-classification": Head("text-classification", _LOGITS, _PER_TEXT),
    "zero-shot-classification": Head("text-classification", _LOGITS, _PER_TEXT),
    "text-ranking": Head("text-classification", _LOGITS, _PER_TEXT),
    "token-classification": Head("token-classification", _LOGITS, _PER_TOKEN),
    "question-answering": Head(
        "question-answering", ("start_logits", "end_logits"), ("batch", "seq")
    ),
    "fill-mask": Head("fill-mask", _LOGITS, _PER_TOKEN),
}


class TaskModule(torch.nn.Module):  # type: ignore[misc]
    """A transformer with a head.

    Args:
        transformer: A model of transformers.
        outputs: Fields of its output, in order.
    """

    def __init__(self, transformer: torch.nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.transformer = transformer
        self.outputs = tuple(outputs)

    # Parameters are spelled out, as exporters name and vary the axes of each by its own name.
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Runs the model on ``int64[batch, seq]`` tensors."""
        out = _call(self.transformer, input_ids, attention_mask, token_type_ids)
        return tuple(out[name] for name in self.outputs)


class SentenceModule(torch.nn.Module):  # type: ignore[misc]
    """A transformer without a head, and what sentence-transformers does after it.

    Args:
        transformer: A model of transformers that returns ``last_hidden_state``.
        stages: Modules of :mod:`edge_tx.exporters.stages`, in order.
    """

    def __init__(self, transformer: torch.nn.Module, stages: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.transformer = transformer
        self.stages = torch.nn.ModuleList(stages)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Runs the model on ``int64[batch, seq]`` tensors; gives ``float32[batch, D]``."""
        out = _call(self.transformer, input_ids, attention_mask, token_type_ids)
        features = {"token_embeddings": out["last_hidden_state"], "attention_mask": attention_mask}
        for stage in self.stages:
            features = stage(features)
        return (features["sentence_embedding"],)


def _call(
    transformer: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_type_ids: torch.Tensor | None,
) -> Any:
    optional = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
    return transformer(
        input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **optional
    )


def inputs_of(names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Specs of the inputs of those names, ``int64[batch, seq]`` each."""
    return tuple(TensorSpec(name, DType.INT64, ("batch", "seq")) for name in names)


def outputs_of(module: torch.nn.Module, task: str, inputs: int) -> tuple[TensorSpec, ...]:
    """Specs of a task's outputs, their width read off a run on one short text.

    Args:
        module: Of this file.
        task: Name of the task.
        inputs: How many inputs the module takes.
    """
    ones = torch.ones((1, 2), dtype=torch.int64)
    ids = torch.zeros_like(ones)
    with torch.inference_mode():
        outs = module(*(ids, ones, ids)[:inputs])
    head = HEADS[task]
    return tuple(
        TensorSpec(
            name,
            DType.FLOAT32,
            tuple(int(out.shape[-1]) if axis == _WIDTH else axis for axis in head.axes),
        )
        for name, out in zip(head.outputs, outs, strict=True)
    )
