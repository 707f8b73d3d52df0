"""Bundles of the fake backend, for tests that need one in milliseconds: no torch, no vendor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_tx.bundle_writer import BundleWriter
from edge_tx.golden import Golden, GoldenCase
from edge_tx.manifest import Parity, Source, TaskSettings
from edge_tx.runtimes.fake import write_graph
from edge_tx.tensors import DType, TensorSpec
from edge_tx.text import TokenizerPolicy

NAMES = ("input_ids", "attention_mask")
INPUTS = tuple(TensorSpec(name, DType.INT64, ("batch", "seq")) for name in NAMES)
PARITY = Parity(texts=3, max_abs_error=1e-7, min_cosine=1.0, agreement=1.0)
SOURCE = Source("cats", "0" * 64, "bert", "BertModel")


def output(name: str, *width: int | str) -> tuple[TensorSpec, ...]:
    """The one output ``float32[batch, *width]``."""
    return (TensorSpec(name, DType.FLOAT32, ("batch", *width)),)


def add_graph(
    writer: BundleWriter,
    outputs: tuple[TensorSpec, ...],
    name: str = "fake-fp32",
    layers: Mapping[str, Sequence[float]] | None = None,
    broken: bool = False,
    **facts: Any,
) -> None:
    """Adds a graph of two inputs.

    Args:
        writer: Of the bundle.
        outputs: What the graph returns.
        name: Its name.
        layers: Weights by layer, for :func:`edge_tx.runtimes.fake.write_graph`.
        broken: Whether its file is none.
        **facts: Of its record, where others than usual.
    """
    entry = write_graph(writer.graph_folder(name) / "model.fake.json", INPUTS, outputs, layers)
    if broken:
        entry.write_text("no graph")
    record: dict[str, Any] = {"backend": "fake", "precision": "fp32", "route": "by hand"}
    record |= {"parity": PARITY, **facts}
    writer.add_graph(name=name, entry=entry, inputs=INPUTS, outputs=outputs, **record)


def commit(
    writer: BundleWriter,
    task: str,
    settings: TaskSettings,
    policy: TokenizerPolicy,
    tokenizer_json: str,
    cases: Sequence[GoldenCase] = (),
) -> Path:
    """Ends a bundle.

    Args:
        writer: Of the bundle.
        task: Its task.
        settings: The task's.
        policy: How texts are read.
        tokenizer_json: The tokenizer's file.
        cases: Golden answers.

    Returns:
        The bundle's folder.
    """
    writer.commit(
        task=task,
        source=SOURCE,
        settings=settings,
        tokenizer=policy,
        tokenizer_json=tokenizer_json,
        golden=Golden(tuple(cases)),
    )
    return writer.dest
