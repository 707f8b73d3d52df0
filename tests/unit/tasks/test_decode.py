"""Arrays to results, with arrays made by hand: no torch, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from edge_tx import tasks
from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.manifest import TaskSettings
from edge_tx.tasks.common import sigmoid, softmax
from edge_tx.tasks.ranking import Ranking, ranked
from edge_tx.text import Tokenizer, TokenizerPolicy

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "anna", "##s", "lives", "in", "new", "york")


def _tokenizer(side: str = "right", max_length: int = 32) -> Tokenizer:
    vocabulary = {word: i for i, word in enumerate(_WORDS)}
    tok = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tok.add_special_tokens(list(_WORDS[:5]))
    roles = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    policy = TokenizerPolicy(
        max_length, ("input_ids", "attention_mask"), padding_side=side, special=roles
    )
    return Tokenizer(tok.to_str(), policy)


def _answer(
    name: str,
    settings: TaskSettings,
    value: Any,
    outputs: Mapping[str, Any],
    tokenizer: Tokenizer | None = None,
    **options: Any,
) -> Any:
    tokenizer = tokenizer or _tokenizer()
    task = tasks.create(name, settings)
    chosen = task.options(**options)
    item = task.parse(value, chosen)
    rows = task.encode(tokenizer, [item], chosen)
    arrays = {key: np.asarray(values, np.float32) for key, values in outputs.items()}
    result = task.decode(tokenizer, item, rows, task.reduce(arrays, rows, chosen), chosen)
    json.dumps(result.to_dict())
    return result


_NER = TaskSettings(labels=("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
_TEXT = "Annas lives in New York"


def _tags(*labels: int) -> list[list[list[float]]]:
    return [[[5.0 if i == label else 0.0 for i in range(5)] for label in labels]]


@pytest.mark.parametrize("side", ["right", "left"])
def test_entities_of_a_padded_row(side: str) -> None:
    own = _tags(0, 1, 2, 0, 0, 3, 4, 0)[0]
    padding = _tags(*[3] * 4)[0]
    logits = [[*own, *padding]]  # behind the row, whatever side the model was trained with
    result = _answer(
        "token-classification", _NER, _TEXT, {"logits": logits}, _tokenizer(side),
        aggregation="simple",
    )  # fmt: skip
    assert [(e.label, e.text, e.start, e.end) for e in result.entities] == [
        ("PER", "Annas", 0, 5),
        ("LOC", "New York", 15, 23),
    ]


def test_two_beginnings_are_two_entities() -> None:
    result = _answer(
        "token-classification", _NER, _TEXT, {"logits": _tags(0, 1, 1, 0, 0, 3, 3, 0)},
        aggregation="simple",
    )  # fmt: skip
    assert [e.text for e in result.entities] == ["Anna", "s", "New", "York"]


@pytest.mark.parametrize(
    ("aggregation", "label"), [("first", "PER"), ("max", "LOC"), ("average", "LOC")]
)
def test_pieces_of_a_word_get_one_label(aggregation: str, label: str) -> None:
    logits = _tags(0, 1, 3, 0, 0, 0, 0, 0)
    logits[0][1][1] = 1.0  # unsure of the first piece
    result = _answer(
        "token-classification", _NER, _TEXT, {"logits": logits}, aggregation=aggregation
    )
    assert [(e.label, e.text) for e in result.entities] == [(label, "Annas")]


def test_a_span_and_its_score() -> None:
    # [CLS] lives in [SEP] annas lives in new york [SEP]: the context is 4..9, anna ##s.
    start, end = np.full((1, 11), -9.0), np.full((1, 11), -9.0)
    start[0, 8], end[0, 9] = 9.0, 9.0
    start[0, 1] = end[0, 2] = 99.0  # the question does not count
    outputs = {"start_logits": start, "end_logits": end}
    best = _answer("question-answering", TaskSettings(), ("lives in", _TEXT), outputs).best
    assert (best.answer, best.start, best.end) == ("New York", 15, 23)
    assert best.score == pytest.approx(1.0, abs=1e-5)


def test_an_impossible_answer() -> None:
    start = np.full((1, 11), -9.0)
    start[0, 0] = 9.0
    outputs = {"start_logits": start, "end_logits": start}
    pair = ("lives in", _TEXT)
    result = _answer(
        "question-answering", TaskSettings(), pair, outputs, handle_impossible_answer=True
    )
    assert (result.best.answer, result.best.score) == ("", pytest.approx(1.0, abs=1e-5))
    assert _answer("question-answering", TaskSettings(), pair, outputs).best.answer != ""


def test_on_the_left_the_context_comes_first() -> None:
    start, end = np.full((1, 13), -9.0), np.full((1, 13), -9.0)
    start[0, 5], end[0, 6] = 9.0, 9.0
    outputs = {"start_logits": start, "end_logits": end}
    result = _answer(
        "question-answering", TaskSettings(), ("lives in", _TEXT), outputs, _tokenizer("left")
    )
    assert result.best.answer == "New York"


def test_fills() -> None:
    logits = np.zeros((1, 5, len(_WORDS)))
    logits[0, 2, _WORDS.index("new")] = 9.0
    logits[0, 2, _WORDS.index("york")] = 8.0
    result = _answer("fill-mask", TaskSettings(), "in [MASK] york", {"logits": logits}, top_k=2)
    assert [(f.token, f.sequence) for f in result.fills] == [
        ("new", "in new york"),
        ("york", "in york york"),
    ]
    assert sum(f.score for f in result.fills) == pytest.approx(1.0, abs=0.01)


def test_more_fills_than_tokens_gives_all() -> None:
    logits = np.zeros((1, 3, len(_WORDS)))
    result = _answer("fill-mask", TaskSettings(), "[MASK]", {"logits": logits}, top_k=99)
    assert sorted(f.token_id for f in result.fills) == list(range(len(_WORDS)))


@pytest.mark.parametrize("count", [1, 5, 30])
def test_the_highest_of_a_large_vocabulary(count: int) -> None:
    from edge_tx.tasks.fill_mask import FillMask

    logits = np.random.default_rng(0).standard_normal((1, 3, 5000)).astype(np.float32)
    task = FillMask(TaskSettings())
    options = task.options(top_k=count)
    rows = task.encode(_tokenizer(), ["[MASK]"], options)
    [part] = task.reduce({"logits": logits}, rows, options)
    assert part.ids is not None
    assert part.ids[0].tolist() == np.argsort(-logits[0, 1])[:count].tolist()


@pytest.mark.filterwarnings("error")
def test_targets_that_are_no_tokens_are_told() -> None:
    logits = {"logits": np.zeros((1, 3, len(_WORDS)))}
    with pytest.raises(UserWarning, match=r"'annas' is no token.*first piece 'anna'"):
        _answer("fill-mask", TaskSettings(), "[MASK]", logits, targets=["annas"])


def test_labels_of_a_multi_label_model() -> None:
    settings = TaskSettings(labels=("a", "b", "c"), problem_type="multi_label_classification")
    result = _answer("text-classification", settings, "new", {"logits": [[2.0, -3.0, 1.0]]})
    assert result.labels == ("a", "c")
    assert list(result.scores) == ["a", "c", "b"]
    assert result.scores["b"] == pytest.approx(1 / (1 + np.exp(3)))


def test_a_regression_has_no_label_to_agree_on() -> None:
    settings = TaskSettings(labels=("LABEL_0",), problem_type="regression")
    result = _answer("text-classification", settings, "new", {"logits": [[-3.5]]})
    assert (result.score, result.labels, result.answer()) == (-3.5, (), None)


def test_a_graph_of_other_labels_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="3 scores but the model has 2 labels"):
        settings = TaskSettings(labels=("a", "b"))
        _answer("text-classification", settings, "new", {"logits": [[1, 2, 3]]})


def test_prompts_and_dimensions() -> None:
    settings = TaskSettings(prompts={"query": "in new "}, default_prompt="query")
    outputs = {"sentence_embedding": [[3.0, 4.0, 12.0]]}

    def embed(**options: Any) -> Any:
        return _answer("sentence-embedding", settings, "york", outputs, **options)

    assert [embed().tokens, embed(prompt="").tokens] == [5, 3]
    assert embed(dimensions=2).vector.tolist() == [3.0, 4.0]
    assert embed(dimensions=2, normalize=True).vector.tolist() == pytest.approx([0.6, 0.8])
    with pytest.raises(InvalidConfig, match="at most the model's 3"):
        embed(dimensions=4)


def test_truncation_is_counted_or_refused() -> None:
    text, outputs = "new york " * 9, {"sentence_embedding": [[1.0]]}
    settings = TaskSettings()
    assert _answer("sentence-embedding", settings, text, outputs, max_length=8).truncated == 12
    with pytest.raises(InvalidInput, match=r"'new york .* has 20 tokens, more than the 8"):
        _answer("sentence-embedding", settings, text, outputs, max_length=8, too_long="error")


def test_equal_documents_keep_their_order() -> None:
    places = ranked([Ranking(0.5, 0), Ranking(0.9, 3), Ranking(0.5, 0)])
    assert [(p.index, p.truncated) for p in places] == [(1, 3), (0, 0), (2, 0)]


@pytest.mark.filterwarnings("error")
def test_scores_do_not_overflow() -> None:
    wide = np.array([-1e4, 0.0, 1e4], np.float32)
    assert sigmoid(wide).tolist() == [0.0, 0.5, 1.0]
    assert softmax(wide).tolist() == [0.0, 0.0, 1.0]
    assert sigmoid(wide).dtype == softmax(wide).dtype == np.float32
