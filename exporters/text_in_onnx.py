"""String-in graphs for ONNX Runtime: an operator of onnxruntime-extensions before the model.

The operators are rewrites of the tokenizers in C++. Each gives the ids of one text, which are cut
and framed here as the bundle's own tokenizer does it. The app's session registers the extensions'
library (``SessionOptions.register_custom_ops_library``).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx.errors import ExportFailed, MissingDependency, UnsupportedModel
from edge_tx.exporters import onnx_file

if TYPE_CHECKING:
    from edge_tx.exporters.text_in import Part

__all__ = ["Graph", "write"]

_DOMAIN = "ai.onnx.contrib"
_PREFIX = "text_in/"
_PURPOSE = "a string-in graph for ONNX Runtime"


@dataclass(frozen=True, slots=True)
class _Operator:
    """One row of the table of tokenizers.

    Attributes:
        model: Of ``tokenizer.json``, by its type.
        name: The operator's.
        outputs: How many it has; the first are the ids, with one special token at each end.
        attributes: Of the tokenizer, as the operator takes them.
    """

    model: str
    name: str
    outputs: int
    attributes: Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _wordpiece(tokenizer: Mapping[str, Any]) -> Mapping[str, Any]:
    vocabulary = tokenizer["model"]["vocab"]
    normalizer = tokenizer["normalizer"] or {}
    lowercase = bool(normalizer.get("lowercase"))
    strips = normalizer.get("strip_accents")
    return {
        "vocab_file": "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)),
        "do_lower_case": int(lowercase),
        "strip_accents": int(lowercase if strips is None else strips),
    }


def _byte_bpe(tokenizer: Mapping[str, Any]) -> Mapping[str, Any]:
    model = tokenizer["model"]
    merges = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    added = (f"{token['content']}={token['id']}" for token in tokenizer["added_tokens"])
    return {
        "vocab": json.dumps(model["vocab"], ensure_ascii=False, separators=(",", ":")),
        "merges": "\n".join(merges),
        "added_token": "\n".join(added),
    }


_OPERATORS = (
    _Operator("WordPiece", "BertTokenizer", 4, _wordpiece),
    _Operator("BPE", "RobertaTokenizer", 3, _byte_bpe),
)


@dataclass(frozen=True)
class Graph:
    """A written graph, open, and what gives its token ids.

    Attributes:
        part: What it is made of.
        session: Strings to ids and outputs.
        tools: Versions of the packages that made it.
    """

    part: Part
    session: Any
    tools: Mapping[str, str]
    prepare: str = ""

    @property
    def length(self) -> int:
        """Longer texts are cut as the bundle cuts them."""
        return self.part.bundle.manifest.tokenizer.max_length

    def answers(self, texts: Sequence[str]) -> list[Mapping[str, Any]]:
        """Token ids and outputs of each text."""
        names = ["input_ids", *(spec.name for spec in self.part.graph.outputs)]
        answers: list[Mapping[str, Any]] = []
        for text in texts:
            ids, *outputs = self.session.run(names, {"text": np.array([text])})
            arrays = zip(names[1:], outputs, strict=True)
            told = {name: array[0].astype(np.float32).tolist() for name, array in arrays}
            answers.append({"ids": ids[0].tolist(), "outputs": told})
        return answers

    def different(self, texts: Sequence[str]) -> list[str]:
        """The texts whose token ids are not the bundle's."""
        tokenizer = self.part.bundle.tokenizer()
        return [text for text in texts if self._ids(text) != tokenizer.encode([text])[0].ids]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.session.run(["input_ids"], {"text": np.array([text])})[0][0].tolist()
        return ids


def write(part: Part, entry: Path) -> Graph:
    """Writes ``model.onnx``: ``string[1]`` to token ids and the graph's outputs.

    Raises:
        MissingDependency: onnx, onnxruntime or onnxruntime-extensions is not installed.
        UnsupportedModel: There is no operator for this tokenizer.
        ExportFailed: The graph is over ONNX's 2 GB for one file.
    """
    onnx, runtime, extensions = _vendors()
    model = onnx_file.load(part.bundle.entry(part.graph))
    _prepend(onnx, model, part)
    try:
        onnx.save_model(model, str(entry))
    except ValueError as exc:  # protobuf's limit
        raise ExportFailed(f"{part.graph.name} does not fit into one ONNX file of 2 GB") from exc
    options = runtime.SessionOptions()
    options.register_custom_ops_library(extensions.get_library_path())
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(entry), options, ["CPUExecutionProvider"])
    tools = {name: version(name) for name in ("onnx", "onnxruntime", "onnxruntime-extensions")}
    return Graph(part, session, tools)


def _vendors() -> tuple[Any, Any, Any]:
    names = ("onnx", "onnxruntime", "onnxruntime_extensions")
    for name in names:
        if importlib.util.find_spec(name) is None:
            package = name.replace("_", "-")
            raise MissingDependency(package, _PURPOSE, f"pip install {package}")
    first, second, third = (importlib.import_module(name) for name in names)
    return first, second, third


def _operator(tokenizer: Mapping[str, Any], name: str) -> _Operator:
    kind = tokenizer["model"]["type"]
    for row in _OPERATORS:
        if row.model == kind:
            return row
    raise UnsupportedModel(
        f"onnxruntime-extensions has no operator that reads {kind} tokenizers as {name}'s own "
        f"does (it is asked for {', '.join(row.model for row in _OPERATORS)}): tokenize in the app"
    )


def _prepend(onnx: Any, model: Any, part: Part) -> None:
    """Puts the tokenizer before a model, whose inputs become results inside the graph."""
    tokenizer = json.loads(part.bundle.tokenizer_json())
    row = _operator(tokenizer, part.bundle.manifest.source.name)
    graph, helper = model.graph, onnx.helper
    nodes, constants = _nodes(onnx, row, row.attributes(tokenizer), part)
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    graph.initializer.extend(constants)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("text", onnx.TensorProto.STRING, [1]))
    ids = helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, [1, "seq"])
    graph.output.insert(0, ids)
    model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _nodes(
    onnx: Any, row: _Operator, attributes: Mapping[str, Any], part: Part
) -> tuple[list[Any], list[Any]]:
    """Text to the graph's inputs: ids without their frame, cut, framed, and as a batch of one."""
    policy = part.bundle.manifest.tokenizer
    before, after = _frame(part)
    room = policy.max_length - len(before) - len(after)
    cut = (0, room) if policy.truncation_side == "right" else (-room, np.iinfo(np.int64).max)
    numbers = {"zero": [0], "one": [1], "last": [-1], "from": [cut[0]], "to": [cut[1]]}
    constants = [
        onnx.numpy_helper.from_array(np.array(values, np.int64), _PREFIX + name)
        for name, values in (numbers | {"before": before, "after": after}).items()
    ]
    make = onnx.helper.make_node
    raw = [f"{_PREFIX}raw{place}" for place in range(row.outputs)]
    inner = [make(row.name, ["text"], raw, domain=_DOMAIN, **attributes)]
    for operator, inputs, output in (
        ("Reshape", ("raw0", "last"), "ids"),  # RobertaTokenizer gives a batch of one
        ("Slice", ("ids", "one", "last", "zero"), "body"),
        ("Slice", ("body", "from", "to", "zero"), "cut"),
        ("Concat", ("before", "cut", "after"), "row"),
    ):
        axis = {"axis": 0} if operator == "Concat" else {}
        inner.append(make(operator, [_PREFIX + n for n in inputs], [_PREFIX + output], **axis))
    inner.append(make("Unsqueeze", [_PREFIX + "row", _PREFIX + "zero"], ["input_ids"]))
    inner.append(make("Shape", ["input_ids"], [_PREFIX + "shape"]))
    for name in policy.inputs[1:]:
        fill = onnx.numpy_helper.from_array(np.array([_FILLS[name]], np.int64))
        inner.append(make("ConstantOfShape", [_PREFIX + "shape"], [name], value=fill))
    return inner, constants


_FILLS = {"attention_mask": 1, "token_type_ids": 0}


def _frame(part: Part) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    encoding = part.bundle.tokenizer().encode(["a"])[0]
    own = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    return list(encoding.ids[: own[0]]), list(encoding.ids[own[-1] + 1 :])
