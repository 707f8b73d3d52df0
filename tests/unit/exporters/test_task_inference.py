"""The task that a checkpoint is exported for, and what that task is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx import tasks
from edge_tx.errors import UnknownName, UnsupportedModel
from edge_tx.exporters import source
from edge_tx.exporters.checkpoint import Checkpoint, ModuleRow
from edge_tx.exporters.settings import read_settings
from edge_tx.exporters.task_inference import find_task, infer

TRANSFORMER = ModuleRow("sentence_transformers.models.Transformer", "")
POOLING = ModuleRow("sentence_transformers.models.Pooling", "1_Pooling")


def checkpoint(
    *architectures: str,
    sentence: dict[str, Any] | None = None,
    modules: tuple[ModuleRow, ...] = (),
    **config: Any,
) -> Checkpoint:
    """One that was never on a disk: only its config files count here."""
    return Checkpoint(
        name="some-model",
        folder=Path("some-model"),
        transformer=Path("some-model"),
        revision="",
        config={"model_type": "bert", "architectures": list(architectures), **config},
        sentence=sentence or {},
        modules=modules,
        weights=(),
    )


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertModel", "feature-extraction"),
        ("BertForSequenceClassification", "text-classification"),
        ("DebertaV2ForTokenClassification", "token-classification"),
        ("RobertaForQuestionAnswering", "question-answering"),
        ("ModernBertForMaskedLM", "fill-mask"),
        ("BertForPreTraining", "fill-mask"),
        ("ElectraForPreTraining", "feature-extraction"),
    ],
)
def test_architecture_tells_the_task(architecture: str, task: str) -> None:
    assert infer(checkpoint(architecture)) == task


@pytest.mark.parametrize(
    "architecture",
    [
        "BertLMHeadModel",
        "BertForNextSentencePrediction",
        "GPT2LMHeadModel",
        "T5ForConditionalGeneration",
    ],
)
def test_other_architectures_name_the_choices(architecture: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"{architecture}.*text-ranking.*--task"):
        infer(checkpoint(architecture))


def test_a_config_that_does_not_tell_asks_for_the_task() -> None:
    with pytest.raises(UnsupportedModel, match=r"names no architecture.*--task"):
        infer(checkpoint())
    with pytest.raises(UnsupportedModel, match="and a BertForMaskedLM: say what it is for"):
        infer(checkpoint("BertForTokenClassification", "BertForMaskedLM"))
    assert infer(checkpoint(), "fill-mask") == "fill-mask"


@pytest.mark.parametrize(
    ("name", "task"),
    [
        *((row.name, row.name) for row in tasks.TASKS.values()),
        ("ner", "token-classification"),
        ("sequence-classification", "text-classification"),
        ("masked-lm", "fill-mask"),
        ("sentence-similarity", "sentence-embedding"),
        ("default", "feature-extraction"),
        ("pretraining", "feature-extraction"),  # known to optimum alone
    ],
)
def test_names_and_synonyms(name: str, task: str) -> None:
    assert find_task(name) == task


@pytest.mark.parametrize("name", ["text-clasification", "text-generation", ""])
def test_unknown_tasks(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown task"):
        find_task(name)


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "token-classification"),
        ("BertForTokenClassification", "text-classification"),
        ("BertForMaskedLM", "question-answering"),
        ("BertModel", "text-classification"),
        ("ElectraForPreTraining", "fill-mask"),
    ],
)
def test_a_task_without_its_head_is_refused(architecture: str, task: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"no weights for {task}; --task may be"):
        infer(checkpoint(architecture), task)


@pytest.mark.parametrize("task", ["text-ranking", "zero-shot", "feature-extraction", "embedding"])
def test_a_sequence_classifier_serves_several_tasks(task: str) -> None:
    assert infer(checkpoint("BertForSequenceClassification"), task) == find_task(task)


def test_zero_shot_only_when_asked_for() -> None:
    labels = {"0": "contradiction", "1": "neutral", "2": "entailment"}
    nli = checkpoint("BertForSequenceClassification", id2label=labels)
    assert infer(nli) == "text-classification"
    assert infer(nli, "zero-shot-classification") == "zero-shot-classification"


def test_sentence_transformers_modules_tell_the_task() -> None:
    modules = (TRANSFORMER, POOLING)
    assert infer(checkpoint("BertModel", modules=modules)) == "sentence-embedding"
    named = checkpoint("BertModel", modules=modules, sentence={"model_type": "SentenceTransformer"})
    assert infer(named) == "sentence-embedding"
    assert infer(named, "feature-extraction") == "feature-extraction"


ONE = {"0": "LABEL_0"}
THREE = {"0": "a", "1": "b", "2": "c"}


@pytest.mark.parametrize("labels", [ONE, THREE])
@pytest.mark.parametrize(
    "hint",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {
            "modules": (TRANSFORMER,),
            "sentence": {
                "model_type": "CrossEncoder",
                "activation_fn": "torch.nn.modules.linear.Identity",
            },
        },
    ],
    ids=["version-4", "version-3", "version-6"],
)
def test_cross_encoders_of_every_version(hint: dict[str, Any], labels: dict[str, str]) -> None:
    found = checkpoint("BertForSequenceClassification", id2label=labels, **hint)
    task = infer(found)
    assert task == ("text-ranking" if len(labels) == 1 else "text-classification")
    if task == "text-ranking":
        assert read_settings(found, task).activation == "none"


def test_a_cross_encoder_with_more_modules_is_refused() -> None:
    score = ModuleRow("sentence_transformers.cross_encoder.modules.logit_score.LogitScore", "1")
    found = checkpoint(
        "BertForSequenceClassification",
        sentence={"model_type": "CrossEncoder"},
        modules=(TRANSFORMER, score),
    )
    for task in (None, "text-ranking"):
        with pytest.raises(UnsupportedModel, match=r"scores come from .*LogitScore"):
            infer(found, task)


def test_a_cross_encoder_scores_by_sigmoid_unless_it_says_so() -> None:
    plain = checkpoint("BertForSequenceClassification", id2label=ONE)
    settings = read_settings(plain, "text-ranking")
    assert (settings.labels, settings.activation) == (("LABEL_0",), "sigmoid")
    for name in ("torch.nn.modules.activation.Tanh", "evil.Sigmoid"):
        odd = checkpoint(
            "BertForSequenceClassification",
            id2label=ONE,
            sentence_transformers={"activation_fn": name},
        )
        with pytest.raises(UnsupportedModel, match=f"scores with {name}"):
            read_settings(odd, "text-ranking")


def test_ranking_needs_one_number() -> None:
    three = checkpoint("BertForSequenceClassification", id2label=THREE)
    with pytest.raises(UnsupportedModel, match=r"gives 3 numbers.*--task text-classification"):
        read_settings(three, "text-ranking")


def test_a_real_cross_encoder_folder(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = tmp_path / "cross"
    CrossEncoder(str(tiny_model("bert", "text-ranking")), device="cpu").save_pretrained(str(folder))
    traced = source.load(folder)
    assert traced.task == "text-ranking"
    assert traced.settings.activation == "sigmoid"
    assert traced.outputs[0].shape == ("batch", 1)
    assert traced.policy.max_length == 128


# --------------------------------------------------------------------------------------- labels


def test_labels_come_in_the_order_of_their_indices() -> None:
    labels = {str(index): f"label-{index}" for index in (10, *range(10))}
    settings = read_settings(
        checkpoint("BertForSequenceClassification", id2label=labels), "text-classification"
    )
    assert settings.labels == tuple(f"label-{index}" for index in range(11))


def test_without_names_labels_are_numbered_as_in_transformers() -> None:
    settings = read_settings(
        checkpoint("BertForSequenceClassification", num_labels=3), "text-classification"
    )
    assert settings.labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    "task", ["text-classification", "token-classification", "zero-shot-classification"]
)
@pytest.mark.parametrize(
    ("labels", "messages"),
    [
        ({"0": "a", "2": "b"}, ["no label of index 1"]),
        ({"0": "a", "1": "a"}, ["more than one label is called 'a'"]),
        ({"0": "a", "1": "a", "3": "b"}, ["no label of index 2", "is called 'a'"]),
        ({"zero": "a"}, ["'zero' is no index"]),
        ({"-1": "a", "0": "b"}, ["'-1' is no index"]),
        ({"0": ["a"]}, ["the label of index 0 is"]),
        ({}, ["it is empty"]),
        (["a", "b"], ["not a map"]),
    ],
)
def test_labels_that_make_no_sense(task: str, labels: Any, messages: list[str]) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        read_settings(checkpoint(id2label=labels), task)
    assert all(message in str(caught.value) for message in messages)


def test_a_count_that_contradicts_the_labels() -> None:
    with pytest.raises(UnsupportedModel, match="num_labels is 5, but there are 2"):
        read_settings(
            checkpoint(id2label={"0": "a", "1": "b"}, num_labels=5), "text-classification"
        )


def test_problem_type_and_function(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model("bert", "text-classification"), tmp_path / "multi")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["problem_type"] = "multi_label_classification"
    path.write_text(json.dumps({**config, "function_to_apply": "none"}))
    settings = source.load(folder).settings
    assert settings.problem_type == "multi_label_classification"
    assert settings.activation == "none"
    for key in ("problem_type", "function_to_apply"):
        path.write_text(json.dumps({**config, key: "guesswork"}))
        with pytest.raises(UnsupportedModel, match=f"{key} 'guesswork'"):
            source.load(folder)
