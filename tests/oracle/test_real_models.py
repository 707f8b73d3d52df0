"""Trained models, where answers mean something."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.export, pytest.mark.shared]


def _lines(path: Path, count: int) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, count)]


def test_sentiment(shared_dir: Path, ours: Any, theirs: Any) -> None:
    folder = shared_dir / "models/sst2-minilm"
    records = _lines(shared_dir / "data/sst2/dev.jsonl", 100)
    pipe = theirs(folder, "text-classification")
    right = 0
    results = ours(folder, "text-classification")([r["text"] for r in records])
    for record, result in zip(records, results, strict=True):
        [expected] = pipe(record["text"], top_k=1, truncation=True)
        assert result.label == expected["label"]
        assert result.score == pytest.approx(expected["score"], abs=1e-4)
        right += result.label == ("negative", "positive")[record["label"]]
    assert right > 80


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_entities(shared_dir: Path, ours: Any, theirs: Any, aggregation: str) -> None:
    folder = shared_dir / "models/btc-ner-minilm"
    records = _lines(shared_dir / "data/btc/test.jsonl", 60)
    pipe = theirs(folder, "token-classification")
    texts = [" ".join(record["tokens"]) for record in records]
    results = ours(folder, "token-classification")(texts, aggregation=aggregation)
    assert any(result.entities for result in results)
    for text, result in zip(texts, results, strict=True):
        expected = pipe(text, aggregation_strategy=aggregation)
        assert [(e.label, e.word, e.start, e.end) for e in result.entities] == [
            (e.get("entity", e.get("entity_group")), e["word"], e["start"], e["end"])
            for e in expected
        ]


def test_answers(shared_dir: Path, ours: Any) -> None:
    mine = ours(shared_dir / "models/squad-minilm", "question-answering")
    records = _lines(shared_dir / "data/squad_v11/dev-600.jsonl", 100)
    scores = []
    for start in range(0, len(records), 10):
        some = records[start : start + 10]
        results = mine([(r["question"], r["context"]) for r in some], max_answer_len=30)
        for record, result in zip(some, results, strict=True):
            best = result.best
            assert best.answer == record["context"][best.start : best.end]
            scores.append(max(_f1(best.answer, gold) for gold in _golds(record["answers"])))
    # 69.05 on all 600 questions, in one window each.
    assert sum(scores) / len(scores) > 0.6


def _golds(answers: Any) -> list[str]:
    if isinstance(answers, dict):
        return list(answers["text"])
    return [answer if isinstance(answer, str) else answer["text"] for answer in answers]


def _f1(answer: str, gold: str) -> float:
    """Overlap of words, as the SQuAD evaluation counts it."""
    mine, theirs = _words(answer), _words(gold)
    common = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * common / (len(mine) + len(theirs)) if common else 0.0


def _words(text: str) -> list[str]:
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()
