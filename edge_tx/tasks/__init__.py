"""The tasks: one row each, imported on first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from edge_tx.backends import resolve
from edge_tx.errors import UnknownName
from edge_tx.light import dataclass
from edge_tx.manifest import TaskSettings

if TYPE_CHECKING:
    from edge_tx.tensors import Array
    from edge_tx.text import Row, Tokenizer

__all__ = ["TASKS", "Result", "Task", "TaskRow", "create", "find"]


class Result(Protocol):
    """What a user gets for one input: a frozen dataclass."""

    @property
    def truncated(self) -> int:
        """Tokens of the input that the model did not see."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that :mod:`json` can write."""

    def answer(self) -> object:
        """What must be equal between two graphs of one model: labels, spans, their order.

        None where there is nothing discrete (an embedding, a regression's number).
        """


class Task(Protocol):
    """Text in, rows to feed; arrays back, results out. Stateless and safe to share.

    A task is made of a model's settings. One input ("item") becomes one row, or several
    (windows of a long context, hypotheses of a zero-shot classifier). Rows are batched and run
    in any order. ``reduce`` shrinks a batch's arrays to what is needed of each row, at once, so
    that a long list never holds all its logits; ``decode`` joins the parts of one item.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph outputs it reads."""

    def options(self, **overrides: Any) -> Any:
        """The call options, a frozen dataclass, with defaults overridden.

        Raises:
            UnknownName: An option this task does not have.
            InvalidConfig: A value that makes no sense.
        """

    def parse(self, value: Any, options: Any) -> Any:
        """Checks one user's input and makes it an item.

        Raises:
            InvalidInput: It is not what this task takes.
        """

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any], options: Any) -> list[Row]:
        """Rows of all items, in the items' order (``row.item`` is the index into ``items``)."""

    def reduce(self, outputs: Mapping[str, Array], rows: Sequence[Row], options: Any) -> list[Any]:
        """One part per row of a batch. ``outputs`` are padded; parts must own their memory."""

    def decode(
        self,
        tokenizer: Tokenizer,
        item: Any,
        rows: Sequence[Row],
        parts: Sequence[Any],
        options: Any,
    ) -> Result:
        """The result of one item from its rows and their parts."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row of the table of tasks.

    Attributes:
        name: What users write: ``--task text-classification``.
        title: What reports print.
        takes: One input, in words.
        factory: ``"module:class"``, called with a :class:`TaskSettings` and a stamp.
        synonyms: Other names users know it by.
    """

    name: str
    title: str
    takes: str
    factory: str
    synonyms: tuple[str, ...] = ()


_ROWS = (
    TaskRow(
        name="sentence-embedding",
        title="Sentence embedding",
        takes="a text",
        factory="edge_tx.tasks.embedding:SentenceEmbedding",
        synonyms=("sentence-similarity", "embedding", "embeddings"),
    ),
    TaskRow(
        name="feature-extraction",
        title="Token features",
        takes="a text",
        factory="edge_tx.tasks.features:FeatureExtraction",
        synonyms=("features", "default"),
    ),
    TaskRow(
        name="text-classification",
        title="Text classification",
        takes="a text or a pair (text, text)",
        factory="edge_tx.tasks.text_classification:TextClassification",
        synonyms=("sequence-classification", "sentiment-analysis"),
    ),
    TaskRow(
        name="text-ranking",
        title="Reranking",
        takes="a pair (query, document)",
        factory="edge_tx.tasks.ranking:TextRanking",
        synonyms=("reranking", "cross-encoder", "rerank"),
    ),
    TaskRow(
        name="token-classification",
        title="Token classification",
        takes="a text",
        factory="edge_tx.tasks.token_classification:TokenClassification",
        synonyms=("ner",),
    ),
    TaskRow(
        name="question-answering",
        title="Extractive question answering",
        takes="a pair (question, context)",
        factory="edge_tx.tasks.question_answering:QuestionAnswering",
        synonyms=("qa",),
    ),
    TaskRow(
        name="fill-mask",
        title="Fill mask",
        takes="a text with the mask token in it",
        factory="edge_tx.tasks.fill_mask:FillMask",
        synonyms=("masked-lm",),
    ),
    TaskRow(
        name="zero-shot-classification",
        title="Zero-shot classification",
        takes="a text, with the labels as an option",
        factory="edge_tx.tasks.zero_shot:ZeroShotClassification",
        synonyms=("zero-shot",),
    ),
)

TASKS: Mapping[str, TaskRow] = {row.name: row for row in _ROWS}


def find(name: str) -> TaskRow:
    """Looks a task up by its name or a synonym.

    Raises:
        UnknownName: There is none of that name.
    """
    for row in _ROWS:
        if name == row.name or name in row.synonyms:
            return row
    raise UnknownName("task", name, TASKS)


def create(name: str, settings: TaskSettings, stamp: str = "") -> Task:
    """Makes a task for a model's settings.

    Args:
        name: Of the task, or a synonym.
        settings: What the model says of itself.
        stamp: Of the graph that will answer (:mod:`edge_tx.stamps`): vectors carry it.

    Raises:
        UnknownName: No such task.
        InvalidConfig: The settings do not fit the task (no labels, say).
    """
    return cast(Task, resolve(find(name).factory)(settings, stamp))
