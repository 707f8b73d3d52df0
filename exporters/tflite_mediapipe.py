"""A TFLite file that MediaPipe's TextEmbedder and TextClassifier load as it is.

MediaPipe wants one signature, three inputs named ``ids``, ``mask`` and ``segment_ids``, and a
description of both in the file: a flatbuffer of its own (``metadata_schema.fbs``) as the metadata
``TFLITE_METADATA``, with the vocabulary, and a classifier's labels, in a zip of stored members
behind the model.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters import tflite, tflite_buckets
from edge_tx.exporters.traced import Exported, Traced
from edge_tx.manifest import TaskSettings

__all__ = ["INPUTS", "KINDS", "Kind", "activation", "export", "finished", "vocabulary"]

#: MediaPipe's names of our inputs, in the order it expects them.
INPUTS: Mapping[str, str] = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "segment_ids",
}

_VOCABULARY = "vocab.txt"
_LABELS = "labels.txt"
_SPECIAL = ("[CLS]", "[SEP]", "[UNK]")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same file from the same model, at any time


@dataclass(frozen=True, slots=True)
class Kind:
    """What MediaPipe makes of a task.

    Attributes:
        title: Its graph's name, and the client's class.
        scores: Whether outputs are scores.
    """

    title: str
    scores: bool


KINDS: Mapping[str, Kind] = {
    "sentence-embedding": Kind("TextEmbedder", scores=False),
    "text-classification": Kind("TextClassifier", scores=True),
}


def export(traced: Traced, folder: Path, length: int = 128) -> Exported:
    """Writes ``mediapipe.tflite`` into a folder.

    The tokenizer inside MediaPipe does not normalise: texts go through
    :func:`edge_tx.runtimes.mediapipe_text.prepare`, or its like in the app's language, first.
    Longer texts are cut by MediaPipe at ``length`` tokens, without a word.

    Args:
        traced: A sentence-embedding or text-classification model with the inputs and the
            WordPiece vocabulary of BERT.
        folder: Where to.
        length: Tokens of the fixed shape; the model's longest if that is less.

    Returns:
        What was written.

    Raises:
        InvalidConfig: A length below 1.
        UnsupportedModel: MediaPipe has no tokenizer or no task for this model.
        ExportFailed: litert-torch failed.
    """
    kind = _checked(traced)
    pieces = vocabulary(traced.tokenizer_json, traced.source.name)
    (bucket,) = tflite_buckets.checked([(1, min(length, traced.policy.max_length))])
    model = _as_mediapipe(traced, kind)
    entry = folder / "mediapipe.tflite"
    entry.write_bytes(
        finished(tflite.convert(model, [bucket]), kind, pieces, traced.settings.labels)
    )
    tools = {name: version(name) for name in ("torch", "transformers", "litert-torch")}
    return Exported(entry=entry, precision="fp32", route="litert-torch, MediaPipe", tools=tools)


def _checked(traced: Traced) -> Kind:
    problems = []
    if traced.task not in KINDS:
        problems.append(f"it has no task for {traced.task} (it has one for {', '.join(KINDS)})")
    names = tuple(spec.name for spec in traced.inputs)
    if names != tuple(INPUTS):
        problems.append(f"it feeds {', '.join(INPUTS)}, and this model takes {', '.join(names)}")
    if problems:
        raise UnsupportedModel(f"MediaPipe cannot run {traced.source.name}: {'; '.join(problems)}")
    return KINDS[traced.task]


def vocabulary(tokenizer_json: str, name: str) -> list[str]:
    """Pieces by id, as MediaPipe reads them: one per line.

    Raises:
        UnsupportedModel: The tokenizer is no WordPiece of BERT's.
    """
    model = json.loads(tokenizer_json)["model"]
    pieces = model.get("vocab")
    missing = [token for token in _SPECIAL if not isinstance(pieces, dict) or token not in pieces]
    if model.get("type") != "WordPiece" or missing:
        raise UnsupportedModel(
            f"MediaPipe cannot run {name}: its tokenizer is no WordPiece of BERT's "
            f"(with {', '.join(_SPECIAL)})"
        )
    by_id = {index: piece for piece, index in pieces.items()}
    return [by_id.get(index, f"[unused-{index}]") for index in range(max(by_id) + 1)]


def _as_mediapipe(traced: Traced, kind: Kind) -> Traced:
    """The module with MediaPipe's names, and with scores where it shows outputs as such."""
    inputs = tuple(replace(spec, name=INPUTS[spec.name]) for spec in traced.inputs)
    module = _scoring(traced) if kind.scores else traced.module
    return replace(traced, inputs=inputs, module=module)


_ACTIVATIONS = {"multi_label_classification": "sigmoid", "regression": "none"}


def activation(settings: TaskSettings) -> str:
    """What makes scores of logits: ``"softmax"``, ``"sigmoid"`` or ``"none"``."""
    usual = "softmax" if len(settings.labels) > 1 else "sigmoid"
    return settings.activation or _ACTIVATIONS.get(settings.problem_type, usual)


def _scoring(traced: Traced) -> Any:
    import torch

    apply = {
        "sigmoid": torch.sigmoid,
        "softmax": lambda logits: torch.softmax(logits, dim=-1),
        "none": lambda logits: logits,
    }[activation(traced.settings)]

    class Scoring(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = traced.module

        def forward(self, *feeds: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (apply(self.module(*feeds)[0]),)

    return Scoring().eval()


def finished(graph: bytes, kind: Kind, pieces: Sequence[str], labels: Sequence[str]) -> bytes:
    """Gives a graph what MediaPipe needs beside it.

    Args:
        graph: A ``.tflite`` file of one signature with the inputs :data:`INPUTS`.
        kind: What MediaPipe makes of it.
        pieces: Of the vocabulary, by id.
        labels: Of a classifier.

    Returns:
        Contents of a ``.tflite`` file.
    """
    files = {_VOCABULARY: "\n".join(pieces)}
    if kind.scores:
        files[_LABELS] = "\n".join(labels)
    return _with_files(_with_metadata(graph, _metadata(kind)), files)


# ---------------------------------------------------------------------------------- metadata
#
# Slots are the positions of the fields in MediaPipe's metadata_schema.fbs, which only grows at
# its ends. Its generated Python comes with MediaPipe alone, which an exporter has no use for.

_TENSOR_AXIS_LABELS, _VOCABULARY_FILE = 2, 5
_BERT_TOKENIZER_OPTIONS = 4
_FEATURE_PROPERTIES = 1


def _metadata(kind: Kind) -> bytes:
    import flatbuffers

    b = flatbuffers.Builder(1024)
    vocabulary = _file(b, _VOCABULARY, _VOCABULARY_FILE)
    tokenizer = _table(b, 1, {0: _vector(b, [vocabulary])})
    unit = _table(b, 2, {1: tokenizer}, {0: _BERT_TOKENIZER_OPTIONS})
    inputs = [_tensor(b, name) for name in INPUTS.values()]
    labels = [_file(b, _LABELS, _TENSOR_AXIS_LABELS)] if kind.scores else []
    outputs = [_tensor(b, "probability" if kind.scores else "embedding", labels)]
    subgraph = _table(b, 10, {2: _vector(b, inputs), 3: _vector(b, outputs), 5: _vector(b, [unit])})
    strings = {0: b.CreateString(kind.title), 7: b.CreateString("1.1.0")}
    model = _table(b, 8, {**strings, 3: _vector(b, [subgraph])})
    b.Finish(model, b"M001")
    return bytes(b.Output())


def _file(b: Any, name: str, kind: int) -> int:
    return _table(b, 5, {0: b.CreateString(name)}, {2: kind})


def _tensor(b: Any, name: str, files: Sequence[int] = ()) -> int:
    content = _table(b, 2, {1: _table(b, 0, {})}, {0: _FEATURE_PROPERTIES})
    fields = {0: b.CreateString(name), 3: content}
    if files:
        fields[6] = _vector(b, files)
    return _table(b, 7, fields)


def _table(
    b: Any, slots: int, offsets: Mapping[int, int], small: Mapping[int, int] | None = None
) -> int:
    b.StartObject(slots)
    for slot, offset in offsets.items():
        b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (small or {}).items():
        b.PrependUint8Slot(slot, value, 0)
    return int(b.EndObject())


def _vector(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _with_metadata(graph: bytes, metadata: bytes) -> bytes:
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(graph, 0))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata, np.uint8)
    entry = schema.MetadataT()
    entry.name = "TFLITE_METADATA"
    entry.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    b = flatbuffers.Builder(len(graph) + len(metadata) + 4096)
    b.Finish(model.Pack(b), b"TFL3")
    return bytes(b.Output())


def _with_files(graph: bytes, files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO(graph)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode("utf-8"))
    return packed.getvalue()
