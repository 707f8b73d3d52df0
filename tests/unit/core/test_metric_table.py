"""What is compared for each metric: labels in every form, words, answers, vectors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName
from edge_tx.examples import read_examples
from edge_tx.manifest import TaskSettings
from edge_tx.metric_table import METRICS, Answered, find_metric, metrics_of, usual_metric
from edge_tx.tasks import TASKS
from edge_tx.tasks.question_answering import Answer, Answers
from edge_tx.tasks.token_classification import Entities, Entity

SETTINGS = TaskSettings(("negative", "positive"))


def expected(metric: str, task: str, row: Any, settings: TaskSettings = SETTINGS) -> Any:
    [example] = read_examples([row], task)
    return find_metric(metric, task).expect(example, settings)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (1, {"positive"}),
        ("1", {"positive"}),
        ("negative", {"negative"}),
        (["positive", 0], {"negative", "positive"}),
        ([], set()),
    ],
)
def test_labels_may_be_names_numbers_or_lists(label: Any, names: set[str]) -> None:
    row = {"text": "a", "label": label}
    assert expected("accuracy", "text-classification", row) == names


@pytest.mark.parametrize("label", [2, -1, "2", "neutral", True, 0.5, ["positive", None], {}])
def test_labels_that_the_model_does_not_have_are_refused(label: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        expected("f1", "text-classification", {"text": "a", "label": label})


TAGS = TaskSettings(("O", "B-PER", "I-PER"))


def test_a_word_has_the_tag_of_its_first_piece() -> None:
    [example] = read_examples(
        [{"tokens": ["Ada", "@", "Lovelace", "cut"], "tags": ["B-PER", 0, "I-PER", "O"]}],
        "token-classification",
    )
    pieces = [("B-PER", 0, 3), ("O", 4, 5), ("I-PER", 6, 10), ("B-PER", 10, 14)]
    entities = tuple(Entity(label, 1.0, "", "", a, b) for label, a, b in pieces)
    metric = find_metric("f1", "token-classification")
    answered = Answered((Entities(entities, 1),), ())
    assert metric.predict(answered, example) == ["B-PER", "O", "I-PER", "O"]
    assert metric.expect(example, TAGS) == ["B-PER", "O", "I-PER", "O"]
    assert metric.options([example]) == {"ignore_labels": ()}


@pytest.mark.parametrize(
    "pieces",
    [
        # DeBERTa's tokenizer counts the blank before a word to its first piece...
        [("B-PER", "Ada", 0), ("I-PER", " Love", 3), ("O", "lace", 8), ("O", " of", 12)],
        # ... or makes a piece of its own of it, which is the word's first.
        [("B-PER", "Ada", 0), ("I-PER", " ", 3), ("O", "Lovelace", 4), ("O", " of", 12)],
    ],
)
def test_blanks_belong_to_the_word_behind_them(pieces: list[tuple[str, str, int]]) -> None:
    row = {"tokens": ["Ada", "Lovelace", "of", "cut"]}
    [example] = read_examples([row], "token-classification")
    entities = tuple(Entity(tag, 1.0, "", text, a, a + len(text)) for tag, text, a in pieces)
    metric = find_metric("f1", "token-classification")
    found = metric.predict(Answered((Entities(entities, 1),), ()), example)
    assert found == ["B-PER", "I-PER", "O", "O"]


def test_f1_binary_is_of_the_models_second_label_whatever_the_data_hold() -> None:
    metric = find_metric("f1_binary", "text-classification")
    rows = [{"text": "a", "label": "negative"}] * 2
    labels = [expected("f1_binary", "text-classification", row) for row in rows]
    assert metric.score(labels, [{"negative"}, {"negative"}]) == 0.0
    assert metric.score(labels, [{"negative"}, {"positive"}]) == 0.0
    with pytest.raises(ValueError, match="3 labels"):
        expected("f1_binary", "text-classification", rows[0], TaskSettings(("a", "b", "negative")))


@pytest.mark.parametrize(
    ("metric", "task", "rows", "why"),
    [
        (
            "spearman",
            "sentence-embedding",
            [{"text_a": "a", "text_b": t, "score": 5} for t in "ab"],
            "all labels are the same number",
        ),
        ("pearson", "text-classification", [{"text": "a", "label": 1}], "same number"),
        ("f1", "token-classification", [{"tokens": ["a"], "tags": ["O"]}], "no tag is other"),
        ("f1_binary", "text-classification", [{"text": "a", "label": 0}], "no row is 'positive'"),
    ],
)
def test_rows_that_a_metric_says_nothing_of_are_told(
    metric: str, task: str, rows: list[Any], why: str
) -> None:
    row = find_metric(metric, task)
    settings = TAGS if task == "token-classification" else SETTINGS
    wanted = [row.expected(example, settings) for example in read_examples(rows, task)]
    assert why in row.undefined(wanted)


def test_agreement_of_a_regression_is_refused() -> None:
    [example] = read_examples(["a"], "text-classification")
    answered = Answered((SimpleNamespace(answer=lambda: None),), ())
    with pytest.raises(InvalidInput, match="the answer is a number"):
        find_metric("agreement", "text-classification").predict(answered, example)


def test_null_is_no_answer_to_a_question() -> None:
    row = {"question": "Who?", "context": "Nobody.", "answers": None}
    [example] = read_examples([row], "question-answering", labelled=True)
    assert example.label == ()
    with pytest.raises(InvalidInput, match="no label"):
        list(read_examples([{"text": "a", "label": None}], "text-classification", labelled=True))


def test_a_word_whose_start_the_tokenizer_drops_has_its_first_piece_that_is_left() -> None:
    [example] = read_examples([{"tokens": ["\u200dAda"]}], "token-classification")
    entities = (Entity("B-PER", 1.0, "", "", 1, 4), Entity("O", 1.0, "", "", 3, 4))
    metric = find_metric("f1", "token-classification")
    assert metric.predict(Answered((Entities(entities, 0),), ()), example) == ["B-PER"]


@pytest.mark.parametrize("tags", [["O"], ["O", "B-LOC"], ["O", 9], None, 3])
def test_tags_that_do_not_fit_are_refused(tags: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        expected("f1", "token-classification", {"tokens": ["a", "b"], "tags": tags}, TAGS)


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        ({"text": ["a cat", "cat"], "answer_start": [0, 2]}, ("a cat", "cat")),
        ([{"text": "a cat", "answer_start": 0}], ("a cat",)),
        (["a cat", "cat"], ("a cat", "cat")),
        ("a cat", ("a cat",)),
        ({"text": [], "answer_start": []}, ()),
        ([], ()),
        ("", ()),
    ],
)
def test_answers_may_be_written_in_every_common_way(answers: Any, right: Any) -> None:
    row = {"question": "q", "context": "c", "answers": answers}
    assert expected("f1", "question-answering", row) == right
    [example] = read_examples([row], "question-answering")
    chosen = find_metric("em", "question-answering").options([example])
    assert chosen == {"max_answer_len": 30, "handle_impossible_answer": not right}
    answered = Answered((Answers((Answer("cat", 1.0, 2, 5),), 0),), ())
    assert find_metric("em", "question-answering").predict(answered, example) == "cat"


def test_two_texts_are_compared_by_their_cosine() -> None:
    [example] = read_examples(
        [{"text_a": "a", "text_b": "b", "score": "2.5"}], "sentence-embedding"
    )
    metric = find_metric("spearman", "sentence-embedding")
    vectors = (np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    assert metric.predict(Answered((), vectors), example) == pytest.approx(24 / 25)
    assert metric.expect(example, SETTINGS) == 2.5
    with pytest.raises(ValueError, match="nan"):
        expected("spearman", "sentence-embedding", {"text_a": "a", "text_b": "b", "score": "nan"})


def test_without_labels_the_fp32_answers_are_what_is_expected() -> None:
    cosine, agreement = (find_metric(name, "fill-mask") for name in ("cosine", "agreement"))
    assert not cosine.labelled
    one, other = np.array([1.0, 0.0]), np.array([1.0, 1.0])
    assert cosine.score([(one,), (one,)], [(one,), (other,)]) == pytest.approx((1 + 0.5**0.5) / 2)
    assert cosine.score([(one * 0,)], [(one,)]) == 0.0
    assert cosine.score([(one * 0,)], [(one * 0,)]) == 1.0
    results = [(SimpleNamespace(answer=lambda: ("a", 1)),), (SimpleNamespace(answer=lambda: "b"),)]
    [example] = read_examples(["a"], "fill-mask")
    answers = [agreement.predict(Answered(r, ()), example) for r in results]
    assert agreement.score(answers, [answers[0], answers[0]]) == 0.5


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_measured_and_names_are_its_own(task: str) -> None:
    mine = metrics_of(task)
    assert "cosine" in mine
    # Of vectors and scores there is no "the same answer": all graphs would agree.
    vague = ("sentence-embedding", "feature-extraction", "text-ranking")
    assert ("agreement" in mine) == (task not in vague)
    rows = [row for row in METRICS if not row.tasks or task in row.tasks]
    assert len(rows) == len(mine)
    assert all(find_metric(name, task) is row for name, row in mine.items())


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        find_metric("acuracy", "text-classification")
    with pytest.raises(InvalidConfig, match="'em' is not for 'text-classification', which has"):
        find_metric("em", "text-classification")


@pytest.mark.parametrize(
    ("task", "row", "name"),
    [
        ("text-classification", {"text": "good", "label": "pos"}, "accuracy"),
        ("text-classification", {"text": "good", "label": 0.7}, "spearman"),
        ("sentence-embedding", {"text_a": "a", "text_b": "b", "score": 1}, "spearman"),
        ("sentence-embedding", {"text": "a", "label": 1}, None),
        ("sentence-embedding", {"text": "a"}, None),
        ("text-classification", {"text": "good", "label": "what"}, None),
    ],
)
def test_the_usual_metric_is_the_first_that_takes_the_labels(
    task: str, row: dict[str, Any], name: str | None
) -> None:
    settings = TaskSettings(labels=("neg", "pos"))
    found = usual_metric(task, list(read_examples([row, row], task)), settings)
    assert (found.name if found else None) == name
    assert usual_metric(task, [], settings) is None
