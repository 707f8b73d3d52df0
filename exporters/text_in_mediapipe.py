"""String-in graphs for MediaPipe: one signature of a bundle's TFLite graph, vocabulary and labels.

MediaPipe's TextEmbedder and TextClassifier take the file as it is, on Android, iOS, the web and
in Python. Its tokenizer does not normalise: texts go through
:func:`edge_tx.runtimes.mediapipe_text.prepare`, or its like in the app's language, first.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx.backends import SessionConfig, open_session, resolve
from edge_tx.errors import ExportFailed, InvalidConfig, MissingDependency, UnsupportedModel
from edge_tx.exporters import tflite_mediapipe as mediapipe

if TYPE_CHECKING:
    from edge_tx.exporters.text_in import Part

__all__ = ["PYTHON", "Graph", "write"]

PYTHON = "EDGE_TX_MEDIAPIPE_PYTHON"
"""Names a Python that has MediaPipe, where this one does not."""

_PURPOSE = "a string-in graph for MediaPipe"
_NEAR = 0.999  # a token that is read otherwise moves an answer by far more

# Runs in the Python that has MediaPipe, which need not have edge_tx.
_CLIENT = """
import json, sys
from mediapipe.tasks import python as mp
from mediapipe.tasks.python import text

kind, model, given, got = sys.argv[1:]
with open(given, encoding="utf-8") as file:
    texts = json.load(file)
base = mp.BaseOptions(model_asset_path=model)
options = getattr(text, kind + "Options")(base_options=base)
with getattr(text, kind).create_from_options(options) as client:
    if kind == "TextEmbedder":
        answers = [client.embed(t).embeddings[0].embedding.tolist() for t in texts]
    else:
        found = (client.classify(t).classifications[0].categories for t in texts)
        answers = [{c.category_name: c.score for c in categories} for categories in found]
with open(got, "w", encoding="utf-8") as file:
    json.dump(answers, file)
"""


@dataclass(frozen=True)
class Graph:
    """A written graph, asked through MediaPipe itself.

    Attributes:
        part: What it is made of.
        entry: The file.
        kind: What MediaPipe makes of it.
        python: A Python that has MediaPipe.
        length: Tokens of its fixed shape; MediaPipe cuts longer texts without a word.
        lowercase: Whether the model is uncased.
        tools: Versions of the packages that made it.
    """

    part: Part
    entry: Path
    kind: mediapipe.Kind
    python: str
    length: int
    lowercase: bool
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def prepare(self) -> str:
        """Which normalisation an app does first."""
        return "bert-uncased" if self.lowercase else "bert-cased"

    def answers(self, texts: Sequence[str]) -> list[Mapping[str, Any]]:
        """Outputs or scores of each text."""
        told = self._ask(texts)
        if self.kind.scores:
            return [{"scores": scores} for scores in told]
        [output] = (spec.name for spec in self.part.graph.outputs)
        return [{"outputs": {output: vector}} for vector in told]

    def different(self, texts: Sequence[str]) -> list[str]:
        """The texts that are answered otherwise than from the bundle's token ids.

        MediaPipe tells no token ids, so answers are compared; of what fits its shape.
        """
        tokenizer = self.part.bundle.tokenizer()
        fitting = [t for t in texts if t.strip() and len(tokenizer.encode([t])[0]) <= self.length]
        wanted = self._by_ids(fitting)
        vectors = (self._vector(answer) for answer in self._ask(fitting))
        pairs = zip(fitting, wanted, vectors, strict=True)
        return [text for text, one, other in pairs if _unlike(one, other)]

    def _vector(self, answer: Any) -> Any:
        if not self.kind.scores:
            return np.asarray(answer)
        return np.asarray([answer[label] for label in self.part.bundle.manifest.settings.labels])

    def _by_ids(self, texts: Sequence[str]) -> list[Any]:
        from edge_tx import tasks
        from edge_tx.golden import answer

        bundle, graph = self.part.bundle, self.part.graph
        task = tasks.create(bundle.manifest.task, bundle.manifest.settings)
        tokenizer = bundle.tokenizer()
        session = open_session(graph.backend, bundle.entry(graph), SessionConfig("cpu", 1))
        try:
            found = [answer(text, {}, tokenizer, task, session.run).result for text in texts]
        finally:
            session.close()
        if self.kind.scores:
            return [self._vector(result.to_dict()["scores"]) for result in found]
        return [np.asarray(result.to_dict()["vector"]) for result in found]

    def _ask(self, texts: Sequence[str]) -> list[Any]:
        prepare = resolve("edge_tx.runtimes.mediapipe_text:prepare")
        prepared = [prepare(text, lowercase=self.lowercase) for text in texts]
        with tempfile.TemporaryDirectory() as folder:
            given, got = Path(folder, "given.json"), Path(folder, "got.json")
            given.write_text(json.dumps(prepared), encoding="utf-8")
            words = [self.kind.title, str(self.entry), str(given), str(got)]
            done = subprocess.run(
                [self.python, "-c", _CLIENT, *words],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
                raise ExportFailed(f"MediaPipe cannot run what was made for it: {last}")
            answers: list[Any] = json.loads(got.read_text(encoding="utf-8"))
            return answers


def _unlike(one: Any, other: Any) -> bool:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return bool(one @ other < _NEAR * lengths) or not np.isfinite(other).all()


def write(part: Part, entry: Path) -> Graph:
    """Writes ``model.tflite`` for MediaPipe.

    Raises:
        InvalidConfig: The graph has no signature of that length.
        UnsupportedModel: MediaPipe has no task or no tokenizer for this model.
        MissingDependency: ai-edge-litert is not installed, or no Python has MediaPipe.
    """
    manifest = part.bundle.manifest
    kind = _kind(part)
    pieces = mediapipe.vocabulary(part.bundle.tokenizer_json(), manifest.source.name)
    python = _python()
    contents, length = _one_signature(part, kind)
    entry.write_bytes(mediapipe.finished(contents, kind, pieces, manifest.settings.labels))
    normalizer = json.loads(part.bundle.tokenizer_json())["normalizer"] or {}
    tools = {"ai-edge-litert": version("ai-edge-litert")}
    return Graph(part, entry, kind, python, length, bool(normalizer.get("lowercase")), tools)


def _kind(part: Part) -> mediapipe.Kind:
    manifest = part.bundle.manifest
    if manifest.task not in mediapipe.KINDS:
        raise UnsupportedModel(
            f"MediaPipe has no task for {manifest.task}; it has one for "
            f"{', '.join(mediapipe.KINDS)}"
        )
    if manifest.tokenizer.inputs != tuple(mediapipe.INPUTS):
        raise UnsupportedModel(
            f"MediaPipe feeds {', '.join(mediapipe.INPUTS)}, and this model takes "
            f"{', '.join(manifest.tokenizer.inputs)}"
        )
    return mediapipe.KINDS[manifest.task]


def _python() -> str:
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingDependency("ai-edge-litert", _PURPOSE, "pip install ai-edge-litert")
    if importlib.util.find_spec("mediapipe") is not None:
        return sys.executable
    named = os.environ.get(PYTHON)
    if not named:
        raise MissingDependency(
            "MediaPipe (its own Python will do, where it does not fit beside the rest; it proves "
            "the file)",
            _PURPOSE,
            f"pip install mediapipe, and name that Python by {PYTHON}",
        )
    return named


# --------------------------------------------------------------------- the flatbuffer itself


def _one_signature(part: Part, kind: mediapipe.Kind) -> tuple[bytes, int]:
    """A graph with one signature only, MediaPipe's names, and scores where it shows some."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    data = part.bundle.entry(part.graph).read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    signature, length = _chosen(part, model)
    graph = model.subgraphs[signature.subgraphIndex]
    places = {tensor.name.decode(): tensor.tensorIndex for tensor in signature.inputs}
    _rename(graph, signature, places)
    if kind.scores:
        _add_scores(schema, model, graph, signature, part)
    model.subgraphs, signature.subgraphIndex = [graph], 0
    model.signatureDefs = [signature]
    _drop_unused(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), length


def _chosen(part: Part, model: Any) -> tuple[Any, int]:
    """The signature of a batch of one and the length that was asked for."""
    by_length = {}
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        batch, length = graph.tensors[graph.inputs[0]].shape
        if batch == 1:
            by_length[int(length)] = signature
    length = part.length or max(by_length, default=0)
    if length not in by_length:
        known = ", ".join(map(str, sorted(by_length))) or "none of a batch of one"
        raise InvalidConfig(
            f"{part.graph.name} has no signature of {length} tokens; it has {known}: export it "
            f"with --buckets 1x{length or 128}"
        )
    return by_length[length], length


def _rename(graph: Any, signature: Any, places: Mapping[str, int]) -> None:
    names = dict(mediapipe.INPUTS)
    graph.inputs = [places[name] for name in names]
    for name, new in names.items():
        graph.tensors[places[name]].name = new.encode()
    for tensor in signature.inputs:
        tensor.name = names[tensor.name.decode()].encode()


def _add_scores(schema: Any, model: Any, graph: Any, signature: Any, part: Part) -> None:
    activation = mediapipe.activation(part.bundle.manifest.settings)
    codes = {"softmax": schema.BuiltinOperator.SOFTMAX, "sigmoid": schema.BuiltinOperator.LOGISTIC}
    if activation not in codes:
        return
    [logits] = graph.outputs
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = codes[activation]
    code.version = 1
    model.operatorCodes.append(code)
    scores = schema.TensorT()
    scores.name, scores.type, scores.buffer = b"scores", graph.tensors[logits].type, 0
    scores.shape = graph.tensors[logits].shape
    graph.tensors.append(scores)
    step = schema.OperatorT()
    step.opcodeIndex = len(model.operatorCodes) - 1
    step.inputs, step.outputs = [logits], [len(graph.tensors) - 1]
    if activation == "softmax":
        step.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        step.builtinOptions = schema.SoftmaxOptionsT()
        step.builtinOptions.beta = 1.0
    graph.operators.append(step)
    graph.outputs = [len(graph.tensors) - 1]
    signature.outputs[0].tensorIndex = graph.outputs[0]


def _drop_unused(model: Any) -> None:
    """Empties the buffers of the other signatures; their numbers stay."""
    [graph] = model.subgraphs
    used = {tensor.buffer for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for place, buffer in enumerate(model.buffers):
        if place not in used:
            buffer.data = None
