"""Options and inputs: what every task takes, and how it refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest

from edge_tx import tasks
from edge_tx.errors import EdgeTxError, InvalidConfig, InvalidInput, UnknownName
from edge_tx.manifest import TaskSettings

_SETTINGS = {
    "sentence-embedding": TaskSettings(prompts={"query": "q: ", "passage": "p: "}),
    "feature-extraction": TaskSettings(),
    "text-classification": TaskSettings(labels=("no", "yes")),
    "text-ranking": TaskSettings(labels=("LABEL_0",)),
    "token-classification": TaskSettings(labels=("O", "B-X", "I-X")),
    "question-answering": TaskSettings(),
    "fill-mask": TaskSettings(),
    "zero-shot-classification": TaskSettings(labels=("contradiction", "entailment")),
}
_PAIRS = ("text-ranking", "question-answering")
_NEEDED: dict[str, dict[str, Any]] = {"zero-shot-classification": {"labels": "a, b"}}

every_task = pytest.mark.parametrize("name", tasks.TASKS)


def _task(name: str) -> tasks.Task:
    return tasks.create(name, _SETTINGS[name])


@every_task
def test_an_unknown_option_suggests_the_near_one(name: str) -> None:
    with pytest.raises(UnknownName, match=r"option of .*did you mean 'max_length'"):
        _task(name).options(max_lenght=3)


@every_task
@pytest.mark.parametrize(
    "bad", [{"max_length": 0}, {"max_length": "9"}, {"max_length": True}, {"too_long": "cut"}]
)
def test_common_options_are_checked(name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(bad))):
        _task(name).options(**bad)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("zero-shot-classification", {"labels": 2024}),
        ("zero-shot-classification", {"labels": ["a", 3]}),
        ("zero-shot-classification", {"labels": "a", "hypothesis_template": None}),
        ("zero-shot-classification", {"labels": "a", "multi_label": "False"}),
        ("fill-mask", {"targets": 20}),
        ("fill-mask", {"top_k": None}),
        ("question-answering", {"top_k": None}),
        ("question-answering", {"max_answer_len": None}),
        ("question-answering", {"handle_impossible_answer": "no"}),
        ("question-answering", {"align_to_words": 1}),
        ("sentence-embedding", {"prompt": 3}),
        ("sentence-embedding", {"prompt_name": 3}),
        ("sentence-embedding", {"normalize": "False"}),
        ("text-ranking", {"prompt": ["q: "]}),
        ("token-classification", {"ignore_labels": 0}),
    ],
)
def test_values_of_another_type_are_refused(name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=list(bad)[-1]) as caught:
        _task(name).options(**bad)
    assert "\n" not in str(caught.value)


def test_a_prompt_that_the_pooling_leaves_out_is_refused() -> None:
    task = tasks.create("sentence-embedding", TaskSettings(include_prompt=False))
    assert task.options(prompt="").prompt == ""
    with pytest.raises(InvalidConfig, match="without a prompt"):
        task.options(prompt="query: ")


@every_task
def test_options_are_frozen_and_defaults_are_shared(name: str) -> None:
    task = _task(name)
    options = task.options()
    assert options is task.options()
    with pytest.raises(AttributeError):
        options.max_length = 3


@every_task
@pytest.mark.parametrize(
    "value",
    [None, 3, b"bytes", {}, {"txt": "a"}, [], ["a"], ["a", 3], ["a", "b", "c"], ("a", None)],
)
def test_other_inputs_are_refused_in_one_line(name: str, value: Any) -> None:
    task = _task(name)
    with pytest.raises(InvalidInput) as caught:
        task.parse(value, task.options(**_NEEDED.get(name, {})))
    assert "\n" not in str(caught.value)
    assert "takes" in str(caught.value)


@every_task
@pytest.mark.parametrize("bad", ["a\ud800", "\udfff", "東\udc80京"])
def test_lone_surrogates_are_refused(name: str, bad: str) -> None:
    task = _task(name)
    for value in [("fine", bad), (bad, "fine")] if name in _PAIRS else [bad]:
        with pytest.raises(InvalidInput, match="lone surrogate"):
            task.parse(value, task.options(**_NEEDED.get(name, {})))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("text-classification", ("text", "text_pair")),
        ("text-ranking", ("query", "document")),
        ("question-answering", ("question", "context")),
    ],
)
def test_pairs_have_three_spellings(name: str, keys: tuple[str, str]) -> None:
    task = _task(name)
    options = task.options()
    for value in (("a", "b"), ["a", "b"], dict(zip(keys, ("a", "b"), strict=True))):
        assert task.parse(value, options) == ("a", "b")


def test_an_empty_second_text_is_none() -> None:
    task = _task("text-classification")
    assert task.parse(("a", ""), task.options()) == "a"
    assert task.parse({"text": "a"}, task.options()) == "a"


@pytest.mark.parametrize(("question", "context"), [("", "b"), ("a", "")])
def test_an_empty_question_or_context_is_refused(question: str, context: str) -> None:
    task = _task("question-answering")
    with pytest.raises(InvalidInput, match="is empty"):
        task.parse((question, context), task.options())


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("sentence-embedding", {"prompt_name": "qurey"}, "did you mean 'query'"),
        ("sentence-embedding", {"dimensions": 0}, "dimensions"),
        ("text-classification", {"top_k": 0}, "top_k"),
        ("text-classification", {"function_to_apply": "tanh"}, "function_to_apply"),
        ("text-ranking", {"activation": "softmax"}, "activation"),
        ("text-ranking", {"prompt_name": "query"}, "prompt"),
        ("token-classification", {"aggregation": "mean"}, "aggregation"),
        ("token-classification", {"stride": 4}, "aggregation other than 'none'"),
        ("token-classification", {"ignore_labels": [3]}, "ignore_labels"),
        ("question-answering", {"top_k": 0}, "top_k"),
        ("question-answering", {"max_answer_len": 0}, "max_answer_len"),
        ("fill-mask", {"targets": []}, "targets"),
        ("zero-shot-classification", {"hypothesis_template": "no place"}, "hypothesis_template"),
        ("zero-shot-classification", {"hypothesis_template": "{a}"}, "hypothesis_template"),
        ("zero-shot-classification", {"hypothesis_template": "{"}, "hypothesis_template"),
    ],
)
def test_options_that_make_no_sense(name: str, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgeTxError, match=message):
        _task(name).options(**bad)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("text-classification", TaskSettings(), "labels"),
        ("text-classification", TaskSettings(labels=("a", "a")), "'a' is there twice"),
        ("token-classification", TaskSettings(), "labels"),
        ("text-ranking", TaskSettings(labels=("a", "b")), "text-classification"),
        ("zero-shot-classification", TaskSettings(labels=("LABEL_0", "LABEL_1")), "id2label"),
    ],
)
def test_settings_that_do_not_fit(name: str, settings: TaskSettings, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        tasks.create(name, settings)


def test_zero_shot_needs_labels() -> None:
    task = _task("zero-shot-classification")
    with pytest.raises(InvalidConfig, match="labels"):
        task.parse("a text", task.options())
