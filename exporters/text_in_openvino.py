"""String-in graphs for OpenVINO: openvino-tokenizers and the model in one file.

The app's process loads the library ``libopenvino_tokenizers`` beside OpenVINO's own: in C++
``core.add_extension(path)``, in Python ``import openvino_tokenizers``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import vendors
from edge_tx.backends import find
from edge_tx.errors import MissingDependency

if TYPE_CHECKING:
    from edge_tx.exporters.text_in import Part, Text

__all__ = ["Graph", "write"]

_PURPOSE = "a string-in graph for OpenVINO"
_INSTALL = "pip install openvino-tokenizers"


@dataclass(frozen=True)
class Graph:
    """A written graph, compiled on the CPU, and its tokenizer alone.

    Attributes:
        part: What it is made of.
        model: Strings to outputs.
        tokens: Strings to token ids.
        tools: Versions of the packages that made it.
    """

    part: Part
    model: Any
    tokens: Any
    tools: Mapping[str, str]
    prepare: str = ""

    @property
    def length(self) -> int:
        """Longer texts are cut as the bundle cuts them."""
        return self.part.bundle.manifest.tokenizer.max_length

    def answers(self, texts: Sequence[Text]) -> list[Mapping[str, Any]]:
        """Token ids and outputs of each text."""
        return [{"ids": self._ids(text), "outputs": self._outputs(text)} for text in texts]

    def different(self, texts: Sequence[Text]) -> list[Text]:
        """The texts whose token ids are not the bundle's."""
        tokenizer = self.part.bundle.tokenizer()
        return [text for text in texts if self._ids(text) != tokenizer.encode([text])[0].ids]

    def _ids(self, text: Text) -> list[int]:
        ids: list[int] = self.tokens(_feeds(text))["input_ids"][0].tolist()
        return ids

    def _outputs(self, text: Text) -> dict[str, Any]:
        found = self.model(_feeds(text))
        return {
            spec.name: np.asarray(found[spec.name][0], np.float32).tolist()
            for spec in self.part.graph.outputs
        }


def _feeds(text: Text) -> dict[int, list[str]]:
    return dict(enumerate([text] for text in ((text,) if isinstance(text, str) else text)))


def write(part: Part, entry: Path) -> Graph:
    """Writes ``model.xml`` and ``model.bin``: ``string[batch]`` to the graph's outputs.

    The input is ``text``; a graph for pairs has a second one, ``pair``.

    Raises:
        MissingDependency: OpenVINO, openvino-tokenizers or transformers is not installed.
    """
    openvino, tokenizers = _vendors()
    policy = part.bundle.manifest.tokenizer
    tokens = tokenizers.convert_tokenizer(
        _tokenizer(part),
        truncation=True,
        max_length=policy.max_length,
        number_of_inputs=1 + part.pair,
    )
    core = openvino.Core()
    alone = core.compile_model(tokens.clone(), "CPU")
    joined = _joined(tokenizers, tokens, core.read_model(str(part.bundle.entry(part.graph))))
    openvino.save_model(joined, str(entry), compress_to_fp16=False)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    tools = {name: version(name) for name in ("openvino", "openvino-tokenizers", "transformers")}
    return Graph(part, core.compile_model(str(entry), "CPU", exact), alone, tools)


def _vendors() -> tuple[Any, Any]:
    row = find("openvino")
    openvino = vendors.import_vendor(row, _PURPOSE)
    for name, install in (
        ("openvino_tokenizers", _INSTALL),
        ("transformers", "pip install transformers"),
    ):
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(name.replace("_", "-"), _PURPOSE, install)
    importlib.import_module("transformers")  # the converter looks for it among the loaded ones
    with vendors.kept_out(row.unwanted):
        return openvino, importlib.import_module("openvino_tokenizers")


def _tokenizer(part: Part) -> Any:
    """The bundle's tokenizer as transformers holds one, with the bundle's policy."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    policy = part.bundle.manifest.tokenizer
    plain = Tokenizer.from_str(part.bundle.tokenizer_json())
    plain.no_padding()
    plain.no_truncation()
    roles = {f"{role}_token": plain.id_to_token(index) for role, index in policy.special.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        model_input_names=list(policy.inputs),
        model_max_length=policy.max_length,
        padding_side="right",
        truncation_side=policy.truncation_side,
        **roles,
    )


def _joined(tokenizers: Any, tokens: Any, model: Any) -> Any:
    # The joined model loses the tokenizer's sinks, and without them its first call fails.
    sinks = tokens.get_sinks()
    joined = tokenizers.connect_models(tokens, model)
    joined.add_sinks(sinks)
    for source, name in zip(joined.inputs, ("text", "pair"), strict=False):
        source.get_tensor().set_names({name})
    return joined
