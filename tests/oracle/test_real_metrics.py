"""Our metrics give trained models the numbers that are known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_tx.evaluation import Evaluation
from edge_tx.examples import read_examples
from edge_tx.metric_table import find_metric

pytestmark = [pytest.mark.export, pytest.mark.shared]


@dataclass
class Torch:
    """The checkpoint itself, as a session."""

    outputs: Any
    run: Any

    def close(self) -> None:
        pass


def score(folder: Path, task: str, data: Path, metric: str) -> float:
    from edge_tx import tasks
    from edge_tx.exporters import source
    from edge_tx.text import Tokenizer

    traced = source.load(folder, task=task, max_length=128)
    evaluation = Evaluation(
        find_metric(metric, task),
        list(read_examples(data, task, labelled=True)),
        tasks.create(task, traced.settings),
        Tokenizer(traced.tokenizer_json, traced.policy),
        traced.settings,
        lambda: pytest.fail("a labelled metric needs no reference"),
    )
    session: Any = Torch(traced.outputs, traced.reference)
    return evaluation.score(session)


@pytest.mark.parametrize(
    ("model", "task", "data", "metric", "known"),
    [
        ("sst2-minilm", "text-classification", "sst2/dev.jsonl", "accuracy", 0.8933),
        ("btc-ner-minilm", "token-classification", "btc/test.jsonl", "f1", 0.7559),
    ],
)
def test_known_numbers(
    shared_dir: Path, model: str, task: str, data: str, metric: str, known: float
) -> None:
    found = score(shared_dir / "models" / model, task, shared_dir / "data" / data, metric)
    assert found == pytest.approx(known, abs=6e-5)


def test_known_correlation(shared_dir: Path, minilm_path: Path) -> None:
    data = shared_dir / "data/stsb/test.jsonl"
    assert score(minilm_path, "sentence-embedding", data, "spearman") == pytest.approx(
        0.8203, abs=6e-5
    )
