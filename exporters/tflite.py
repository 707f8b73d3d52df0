"""TFLite graphs: one file with a signature for each fixed shape, which share the weights."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.errors import EdgeTxError, ExportFailed, InvalidConfig, MissingDependency, UnknownName
from edge_tx.exporters import tflite_buckets
from edge_tx.exporters.causes import root_cause
from edge_tx.exporters.quiet import quiet
from edge_tx.exporters.tflite_buckets import Bucket
from edge_tx.exporters.tflite_mask import additive_masks
from edge_tx.exporters.traced import Exported, ExportOptions, Traced

if TYPE_CHECKING:
    import torch

__all__ = ["ROUTE", "check_options", "convert", "export", "signature_name"]

ROUTE = "litert-torch"

_INSTALL = "pip install litert-torch"
# Native code says on stderr which of its kernels it folds constants with, unless told otherwise.
_QUIET_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


def check_options(options: ExportOptions) -> None:
    """Checks what can be checked before a checkpoint is loaded.

    Raises:
        UnknownName: No such route.
        InvalidConfig: A precision this exporter does not write, or buckets that make no sense.
        MissingDependency: litert-torch is not installed.
    """
    if options.precision != "fp32":
        raise InvalidConfig(f"the TFLite exporter writes fp32, not {options.precision}")
    if options.route not in ("", ROUTE):
        raise UnknownName("TFLite route", options.route, (ROUTE,))
    tflite_buckets.checked(options.buckets)
    if importlib.util.find_spec("litert_torch") is None:
        raise MissingDependency("litert-torch", "exporting to TFLite", _INSTALL)


def export(traced: Traced, folder: Path, options: ExportOptions | None = None) -> Exported:
    """Writes ``model.tflite`` into a folder.

    The file has one signature per bucket, named ``b<batch>_s<tokens>``. Inputs and outputs have
    the names of ``traced``; inputs are int32, as phones expect them.

    Args:
        traced: The checkpoint.
        folder: An empty folder.
        options: Buckets, or the lengths of texts to choose up to four for; by default lengths
            that double from 32 to the longest.

    Returns:
        What was written.

    Raises:
        UnknownName: No such route.
        InvalidConfig: The buckets do not fit the checkpoint.
        MissingDependency: litert-torch is not installed.
        UnsupportedModel: The model masks its attention in a way that cannot be written.
        ExportFailed: litert-torch failed.
    """
    options = options or ExportOptions()
    check_options(options)
    entry = folder / "model.tflite"
    entry.write_bytes(convert(traced, _buckets(traced, options)))
    tools = {name: version(name) for name in ("torch", "transformers", "litert-torch")}
    return Exported(entry=entry, precision="fp32", route=ROUTE, tools=tools)


def signature_name(bucket: Bucket) -> str:
    """What the signature of a bucket is called."""
    return f"b{bucket[0]}_s{bucket[1]}"


def convert(traced: Traced, buckets: Sequence[Bucket]) -> bytes:
    """Converts a checkpoint for fixed shapes.

    Args:
        traced: The checkpoint.
        buckets: ``(batch, tokens)`` of each signature.

    Returns:
        Contents of a ``.tflite`` file.

    Raises:
        UnsupportedModel: The model masks its attention in a way that cannot be written.
        ExportFailed: litert-torch failed.
    """
    module = _by_name(traced)
    try:
        with _quiet(), additive_masks(traced.module):
            from litert_torch import signature

            first, *rest = buckets
            converter = signature(
                signature_name(first), module, sample_kwargs=_example(traced, first)
            )
            for bucket in rest:
                converter.signature(
                    signature_name(bucket), module, sample_kwargs=_example(traced, bucket)
                )
            return bytes(converter.convert().model_content())
    except EdgeTxError:
        raise
    except Exception as exc:  # torch, jax and native code raise of every kind here
        raise ExportFailed(
            f"litert-torch cannot export {traced.source.architecture} "
            f"({traced.source.model_type}): {root_cause(exc)}"
        ) from exc


def _buckets(traced: Traced, options: ExportOptions) -> tuple[Bucket, ...]:
    longest = traced.policy.max_length
    if options.buckets:
        chosen = tflite_buckets.checked(options.buckets)
        if chosen[-1][1] != longest:
            raise InvalidConfig(
                f"the longest bucket has {chosen[-1][1]} tokens and the longest row {longest}: "
                f"give a max_length of {chosen[-1][1]}, or a bucket of {longest}"
            )
    elif options.lengths:
        chosen = tflite_buckets.from_lengths(options.lengths, tflite_buckets.MOST, longest)
    else:
        chosen = tflite_buckets.default(longest)
    _check_told_apart(traced, chosen)
    return chosen


def _check_told_apart(traced: Traced, buckets: Sequence[Bucket]) -> None:
    """A file holds sizes without names: one length alone must not be an output's width too."""
    lengths = {length for _, length in buckets}
    widths = {dim for spec in traced.outputs for dim in spec.shape[1:2] if isinstance(dim, int)}
    if len(lengths) == 1 and lengths <= widths:
        raise InvalidConfig(
            f"a single bucket of {lengths.pop()} tokens cannot be told from the output's width of "
            "the same size: add a bucket of another length"
        )


def _by_name(traced: Traced) -> Any:
    """The module behind a face that takes and gives tensors by name, as signatures do."""
    import torch

    inputs = [spec.name for spec in traced.inputs]
    outputs = [spec.name for spec in traced.outputs]

    class ByName(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = traced.module

        def forward(self, **feeds: torch.Tensor) -> dict[str, torch.Tensor]:
            results = self.module(*(feeds[name] for name in inputs))
            return dict(zip(outputs, results, strict=True))

    return ByName().eval()


def _example(traced: Traced, bucket: Bucket) -> dict[str, torch.Tensor]:
    import torch

    return {spec.name: torch.ones(bucket, dtype=torch.int64) for spec in traced.inputs}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps native logs and progress off the terminal too."""
    with quiet(), _environment(_QUIET_ENVIRONMENT), _without_progress():
        yield


@contextlib.contextmanager
def _without_progress() -> Iterator[None]:
    from litert_torch._config import config

    before = config.show_progress
    config.show_progress = False
    try:
        yield
    finally:
        config.show_progress = before


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
