"""What a task must know beside the graph, read from a checkpoint's config files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.checkpoint import Checkpoint
from edge_tx.exporters.files import read_json
from edge_tx.exporters.task_inference import is_cross_encoder, label_count
from edge_tx.manifest import TaskSettings

__all__ = ["read_settings"]

_CLASSIFIERS = frozenset(
    {"text-classification", "zero-shot-classification", "token-classification"}
)
_PROBLEMS = ("", "single_label_classification", "multi_label_classification", "regression")
_SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
# Classes of torch that a CrossEncoder may name, and what they are called here.
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "none"}
_PIPELINE_FUNCTIONS = ("sigmoid", "softmax", "none")


def read_settings(checkpoint: Checkpoint, task: str) -> TaskSettings:
    """Reads labels, problem type, activation, prompts and similarity.

    Raises:
        UnsupportedModel: A field makes no sense; all that is wrong with labels is listed.
    """
    if task in _CLASSIFIERS:
        return TaskSettings(
            labels=_labels(checkpoint),
            problem_type=_problem_type(checkpoint),
            activation=_pipeline_function(checkpoint, task),
        )
    if task == "text-ranking":
        return _ranking(checkpoint)
    if task == "sentence-embedding":
        return TaskSettings(
            **_prompts(checkpoint),
            similarity=_similarity(checkpoint),
            include_prompt=_include_prompt(checkpoint),
        )
    return TaskSettings()


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    raw = checkpoint.config.get("id2label")
    if raw is None:
        return tuple(f"LABEL_{index}" for index in range(label_count(checkpoint.config)))
    by_index, problems = _indexed(raw)
    count = len(by_index)
    missing = sorted(set(range(count)) - by_index.keys())
    if missing:
        problems.append(f"no label of index {', '.join(map(str, missing))}")
    twice = sorted(name for name, times in Counter(by_index.values()).items() if times > 1)
    if twice:
        problems.append(f"more than one label is called {', '.join(map(repr, twice))}")
    declared = checkpoint.config.get("num_labels", count)
    if declared != count:
        problems.append(f"num_labels is {declared}, but there are {count}")
    if problems or not count:
        path = checkpoint.transformer / "config.json"
        raise UnsupportedModel(f"id2label of {path}: {'; '.join(problems) or 'it is empty'}")
    return tuple(by_index[index] for index in range(count))


def _indexed(raw: Any) -> tuple[dict[int, str], list[str]]:
    if not isinstance(raw, Mapping):
        return {}, ["it is not a map of index to name"]
    by_index: dict[int, str] = {}
    problems = []
    for key, name in raw.items():
        if not str(key).isdecimal():
            problems.append(f"{key!r} is no index")
        elif not isinstance(name, str | int | float):
            problems.append(f"the label of index {key} is {name!r}")
        else:
            by_index[int(key)] = str(name)
    return by_index, problems


def _problem_type(checkpoint: Checkpoint) -> str:
    problem = checkpoint.config.get("problem_type") or ""
    if problem not in _PROBLEMS:
        raise UnsupportedModel(
            f"problem_type {problem!r} of {checkpoint.transformer / 'config.json'} is unknown; "
            f"known: {', '.join(filter(None, _PROBLEMS))}"
        )
    return str(problem)


def _pipeline_function(checkpoint: Checkpoint, task: str) -> str:
    """What transformers' text classification pipeline takes from a config."""
    function = checkpoint.config.get("function_to_apply")
    if task != "text-classification" or function is None:
        return ""
    if function not in _PIPELINE_FUNCTIONS:
        raise UnsupportedModel(
            f"function_to_apply {function!r} of {checkpoint.transformer / 'config.json'} is "
            f"unknown; known: {', '.join(_PIPELINE_FUNCTIONS)}"
        )
    return str(function)


def _ranking(checkpoint: Checkpoint) -> TaskSettings:
    count = label_count(checkpoint.config)
    if count != 1:
        raise UnsupportedModel(
            f"{checkpoint.name} gives {count} numbers for a pair, and text-ranking needs one: "
            "export it with --task text-classification"
        )
    return TaskSettings(
        labels=_labels(checkpoint), activation=_activation(checkpoint), **_prompts(checkpoint)
    )


def _activation(checkpoint: Checkpoint) -> str:
    """As ``CrossEncoder`` looks it up: its own record, the older ones, then by label count."""
    nested = checkpoint.config.get("sentence_transformers")
    places = (
        checkpoint.sentence.get("activation_fn") if is_cross_encoder(checkpoint) else None,
        nested.get("activation_fn") if isinstance(nested, Mapping) else None,
        checkpoint.config.get("sbert_ce_default_activation_function"),
    )
    named = next((place for place in places if place), "torch.nn.Sigmoid")
    package, _, name = str(named).rpartition(".")
    if package.partition(".")[0] != "torch" or name not in _ACTIVATIONS:
        raise UnsupportedModel(
            f"{checkpoint.name} scores with {named}; only Sigmoid and Identity of torch can be "
            "exported"
        )
    return _ACTIVATIONS[name]


def _prompts(checkpoint: Checkpoint) -> dict[str, Any]:
    path: Path = checkpoint.folder / "config_sentence_transformers.json"
    raw = checkpoint.sentence.get("prompts") or {}
    if not isinstance(raw, Mapping) or not all(isinstance(p, str | None) for p in raw.values()):
        raise UnsupportedModel(f"prompts of {path} are not texts by name")
    prompts = {str(name): text for name, text in raw.items() if text is not None}
    default = checkpoint.sentence.get("default_prompt_name") or ""
    if default and default not in prompts:
        known = ", ".join(prompts) or "none"
        raise UnsupportedModel(f"default prompt {default!r} of {path} is none of: {known}")
    return {"prompts": prompts, "default_prompt": str(default)}


def _include_prompt(checkpoint: Checkpoint) -> bool:
    """Whether every pooling takes a prompt's tokens, too."""
    paths = [
        checkpoint.folder / row.path / "config.json"
        for row in checkpoint.modules
        if row.kind == "Pooling"
    ]
    return all(read_json(path).get("include_prompt", True) for path in paths if path.exists())


def _similarity(checkpoint: Checkpoint) -> str:
    name = checkpoint.sentence.get("similarity_fn_name") or "cosine"
    if name not in _SIMILARITIES:
        raise UnsupportedModel(
            f"{checkpoint.name} compares embeddings by {name!r}; known: {', '.join(_SIMILARITIES)}"
        )
    return str(name)
