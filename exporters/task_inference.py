"""Which task a checkpoint is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_tx import tasks
from edge_tx.errors import UnknownName, UnsupportedModel
from edge_tx.exporters.checkpoint import Checkpoint

__all__ = ["find_task", "infer", "is_cross_encoder", "label_count"]


@dataclass(frozen=True, slots=True)
class _Architecture:
    """What the ending of a class name in config.json says.

    Attributes:
        ending: Of the class name.
        task: What such a checkpoint is exported for.
        fits: All the tasks that need the same head.
    """

    ending: str
    task: str
    fits: tuple[str, ...]


_SEQUENCE = ("text-classification", "zero-shot-classification", "text-ranking")
# Any checkpoint has a body, and these need no more.
_BODY = ("feature-extraction", "sentence-embedding")

# The first that matches counts.
_ARCHITECTURES = (
    _Architecture("ForSequenceClassification", "text-classification", _SEQUENCE),
    _Architecture("ForTokenClassification", "token-classification", ("token-classification",)),
    _Architecture("ForQuestionAnswering", "question-answering", ("question-answering",)),
    _Architecture("ForMaskedLM", "fill-mask", ("fill-mask",)),
    # ELECTRA's discriminator was pretrained to spot replaced tokens: it cannot fill a mask.
    _Architecture("ElectraForPreTraining", "feature-extraction", ()),
    _Architecture("ForPreTraining", "fill-mask", ("fill-mask",)),
    _Architecture("LMHeadModel", "", ()),
    _Architecture("DecoderModel", "", ()),
    _Architecture("Model", "feature-extraction", ()),
)

# model_type of config_sentence_transformers.json.
_SENTENCE_TRANSFORMER, _CROSS_ENCODER = "SentenceTransformer", "CrossEncoder"


def find_task(name: str) -> str:
    """The task of a name that users know: ours, a synonym of ours, or one of optimum's.

    Raises:
        UnknownName: There is none of that name.
    """
    try:
        return tasks.find(name).name
    except UnknownName:
        from optimum.exporters.tasks import TasksManager

        synonym = str(TasksManager.map_from_synonym(name))
        if synonym not in tasks.TASKS:
            raise
        return synonym


def infer(checkpoint: Checkpoint, task: str | None = None) -> str:
    """The name of the task that a checkpoint is exported for.

    What is asked for comes first, then what sentence-transformers recorded, then the class
    that config.json names.

    Raises:
        UnknownName: There is no task of the name given.
        UnsupportedModel: The checkpoint's head does not fit the task that was asked for, or
            none was and the checkpoint does not tell.
    """
    name = _inferred(checkpoint) if task is None else find_task(task)
    _refuse_other_head(checkpoint, name)
    _refuse_other_modules(checkpoint, name)
    return name


def is_cross_encoder(checkpoint: Checkpoint) -> bool:
    """Whether sentence-transformers' CrossEncoder saved the checkpoint."""
    if "model_type" in checkpoint.sentence:
        return bool(checkpoint.sentence["model_type"] == _CROSS_ENCODER)
    return not checkpoint.modules and (
        "sentence_transformers" in checkpoint.config
        or "sbert_ce_default_activation_function" in checkpoint.config
    )


def label_count(config: Mapping[str, object]) -> int:
    """How many outputs a classifier has; 2 where its config does not tell, as in transformers."""
    labels = config.get("id2label")
    if isinstance(labels, Mapping):
        return len(labels)
    count = config.get("num_labels", 2)
    return count if isinstance(count, int) else 2


def _inferred(checkpoint: Checkpoint) -> str:
    if checkpoint.modules and not is_cross_encoder(checkpoint):
        return _of_sentence_transformers(checkpoint)
    name = _of_architecture(checkpoint)
    if name == "text-classification" and is_cross_encoder(checkpoint):
        return "text-ranking" if label_count(checkpoint.config) == 1 else name
    return name


def _of_sentence_transformers(checkpoint: Checkpoint) -> str:
    kind = checkpoint.sentence.get("model_type", _SENTENCE_TRANSFORMER)
    if kind != _SENTENCE_TRANSFORMER:
        raise UnsupportedModel(
            f"{checkpoint.name} is a {kind} of sentence-transformers; only {_SENTENCE_TRANSFORMER} "
            f"and {_CROSS_ENCODER} can be exported"
        )
    return "sentence-embedding"


def _of_architecture(checkpoint: Checkpoint) -> str:
    found = {name: _row(name) for name in checkpoint.architectures}
    names = {row.task for row in found.values() if row is not None and row.task}
    if len(names) == 1:
        return names.pop()
    what = f"is a {' and a '.join(found)}" if found else "names no architecture in its config.json"
    if found and not names:
        raise UnsupportedModel(
            f"{checkpoint.name} {what}, which is none of the tasks that can be exported: "
            f"{_choices()}; --task takes the encoder of it where there is one"
        )
    raise UnsupportedModel(f"{checkpoint.name} {what}: say what it is for with --task {_choices()}")


def _refuse_other_head(checkpoint: Checkpoint, task: str) -> None:
    """A head's weights often fit another task by name and shape, and would give nonsense."""
    rows = [row for row in map(_row, checkpoint.architectures) if row is not None and row.task]
    if task in _BODY or not rows or any(task in row.fits for row in rows):
        return
    possible = sorted({fit for row in rows for fit in row.fits} | set(_BODY))
    raise UnsupportedModel(
        f"{checkpoint.name} is a {' and a '.join(checkpoint.architectures)}, which has no weights "
        f"for {task}; --task may be {', '.join(possible)}"
    )


def _refuse_other_modules(checkpoint: Checkpoint, task: str) -> None:
    more = [row.type for row in checkpoint.modules[1:]]
    if more and task in _SEQUENCE and is_cross_encoder(checkpoint):
        raise UnsupportedModel(
            f"{checkpoint.name} is a {_CROSS_ENCODER} whose scores come from {', '.join(more)}; "
            "only those of a sequence classifier can be exported"
        )


def _row(architecture: str) -> _Architecture | None:
    return next((row for row in _ARCHITECTURES if architecture.endswith(row.ending)), None)


def _choices() -> str:
    return ", ".join(tasks.TASKS)
