"""What a bundle says of itself: frozen records, read strictly, written as JSON."""

# No `from __future__ import annotations`, here and in the modules of the other records of a
# manifest: reading one asks for the fields' types, and every process would compile their texts.

from collections.abc import Mapping
from dataclasses import field

from edge_tx.light import dataclass
from edge_tx.policy import TokenizerPolicy
from edge_tx.specs import TensorSpec

__all__ = ["SCHEMA", "FileRecord", "Graph", "Manifest", "Parity", "Source", "TaskSettings"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of the bundle.

    Attributes:
        path: Relative, with forward slashes.
        size: Bytes.
        sha256: Of the contents, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights came from.

    Attributes:
        name: Folder name or hub id, as it was given.
        revision: Commit of the hub repository; empty for a folder.
        sha256: Of all weight files together.
        model_type: The family, e.g. ``"bert"``.
        architecture: Class that was loaded, e.g. ``"BertForSequenceClassification"``.
        modules: What the graph holds beside the transformer, in order,
            e.g. ``("pooling:mean", "normalize")``.
        parameters: Count of weights.
        config: sha256 of what the checkpoint's config says of the network.
    """

    name: str
    sha256: str
    model_type: str
    architecture: str
    revision: str = ""
    modules: tuple[str, ...] = ()
    parameters: int = 0
    config: str = ""


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What a task must know beside the graph.

    Attributes:
        labels: Names of the outputs of a classifier, by index.
        problem_type: ``"single_label_classification"``, ``"multi_label_classification"``,
            ``"regression"``, or empty.
        activation: What turns logits into scores where the checkpoint says so:
            ``"sigmoid"``, ``"softmax"``, ``"none"``, or empty for the task's default.
        prompts: Texts put before an input, by name (sentence-transformers' prompts).
        default_prompt: Name of the prompt used when none is asked for; empty for none.
        similarity: How embeddings are meant to be compared: ``"cosine"``, ``"dot"``, ...
        include_prompt: Whether a prompt may be put before a text: where its tokens must stay out
            of the pooling, which a graph cannot tell from the text's, it may not.
    """

    labels: tuple[str, ...] = ()
    problem_type: str = ""
    activation: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    similarity: str = ""
    include_prompt: bool = True


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's answers are from the fp32 reference's, on real text.

    Attributes:
        texts: Count of texts compared.
        max_abs_error: Largest difference of any output element.
        min_cosine: Smallest cosine between a row's outputs and the reference's.
        agreement: Share of texts whose decoded answer (label, span, tags...) is the same.
        worst: The text with the largest error, shortened.
    """

    texts: int
    max_abs_error: float
    min_cosine: float
    agreement: float
    worst: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph of a bundle.

    Attributes:
        name: Its folder under ``graphs/``: ``"onnx-fp32"``.
        backend: Name of the backend that runs it.
        precision: ``"fp32"``, ``"fp16"``, ``"int8"``...
        entry: Path of the file to open.
        files: All its files, the entry included.
        inputs: What it takes.
        outputs: What it returns.
        route: How it was made, e.g. ``"torch.onnx dynamo"``.
        recipe: Name of the quantisation recipe; empty if none.
        calibration: Hash of the calibration texts; empty if none.
        parity: Against the fp32 reference.
        metrics: Numbers of the accuracy gate by name.
        tools: Versions of the packages that made it.
        checks: What it was held to where it was made, and how that went, by name: ``"parity"``
            says which runtime it ran in.
    """

    name: str
    backend: str
    precision: str
    entry: str
    files: tuple[FileRecord, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Parity
    route: str = ""
    recipe: str = ""
    calibration: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(f.size for f in self.files)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole record, ``manifest.json``.

    Attributes:
        task: Name of the task.
        source: Where the weights came from.
        settings: What the task must know.
        tokenizer: How the tokenizer is used.
        files: ``tokenizer.json`` and ``golden.json``.
        graphs: The graphs, in the order they were made.
        stamp: Hash over weights, pooling and tokenizer: embeddings with different stamps must
            not be compared.
        edge_tx: Version that wrote the bundle.
        created: UTC, ISO 8601.
        schema: Version of this format.
    """

    task: str
    source: Source
    settings: TaskSettings
    tokenizer: TokenizerPolicy
    files: tuple[FileRecord, ...]
    graphs: tuple[Graph, ...]
    stamp: str
    edge_tx: str
    created: str
    schema: int = SCHEMA
