"""Losses against torch written out, and what they must not depend on."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_tx.calibration.distillation_losses import (  # noqa: E402
    OUTPUT_LOSSES,
    hidden_loss,
    label_loss,
    output_kind,
    relation_loss,
)
from edge_tx.calibration.distillation_rows import epoch_batches, in_length_order  # noqa: E402
from edge_tx.manifest import TaskSettings  # noqa: E402

DRAW = torch.Generator().manual_seed(3)
MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])


def random(*shape: int) -> Any:
    return torch.randn(shape, generator=DRAW)


SHAPES = {
    "scores": (2, 4, 5),
    "ends": (2, 4),
    "chances": (2, 5),
    "number": (2, 1),
    "direction": (2, 6),
    "tokens": (2, 4, 6),
}


@pytest.mark.parametrize("kind", OUTPUT_LOSSES)
def test_equal_outputs_cost_nothing_and_padding_does_not_count(kind: str) -> None:
    one, other = random(*SHAPES[kind]), random(*SHAPES[kind])
    loss = OUTPUT_LOSSES[kind]
    assert float(loss(one, one, MASK, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(loss(one, other, MASK, 2.0)) > 1e-3
    if one.shape[:2] == MASK.shape:
        changed = one.clone()
        changed[~MASK] += 7
        assert float(loss(changed, other, MASK, 2.0)) == pytest.approx(
            float(loss(one, other, MASK, 2.0))
        )


def test_scores_are_compared_as_hinton_does() -> None:
    one, other, warm = random(3, 5), random(3, 5), 3.0
    p, q = (torch.softmax(x.double() / warm, -1) for x in (other, one))
    wanted = (p * (p / q).log()).sum(-1).mean() * warm**2
    assert float(OUTPUT_LOSSES["scores"](one, other, MASK, warm)) == pytest.approx(float(wanted))


def test_chances_are_compared_label_by_label() -> None:
    one, other = random(3, 5), random(3, 5)
    p, q = (torch.sigmoid(x.double()) for x in (other, one))
    wanted = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    loss = OUTPUT_LOSSES["chances"](one, other, torch.ones(3, 2, dtype=torch.bool), 1.0)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)


def test_hidden_states_weigh_alike_at_every_scale() -> None:
    one, other = random(2, 4, 6), random(2, 4, 6)
    loss = float(hidden_loss(one, other, MASK))
    assert float(hidden_loss(100 * one, 100 * other, MASK)) == pytest.approx(loss)


def test_relations_are_those_of_minilm_and_bridge_widths() -> None:
    one, other = random(1, 3, 8), random(1, 3, 12)
    mask = torch.ones(1, 3, dtype=torch.bool)
    parts = []
    for values in (one, other):
        heads = values.double().reshape(1, 3, 4, -1).permute(0, 2, 1, 3)
        scores = heads @ heads.transpose(-1, -2) / heads.shape[-1] ** 0.5
        parts.append(torch.softmax(scores, -1))
    wanted = (parts[1] * (parts[1] / parts[0]).log()).sum(-1).mean()
    assert float(relation_loss(one, other, mask)) == pytest.approx(float(wanted), rel=1e-5)
    padded = torch.cat([one, random(1, 2, 8)], 1), torch.cat([other, random(1, 2, 12)], 1)
    longer = torch.tensor([[True, True, True, False, False]])
    assert float(relation_loss(*padded, longer)) == pytest.approx(float(wanted), rel=1e-5)


def test_labels_are_classes_chances_or_numbers() -> None:
    scores = random(2, 4, 3)
    tags = torch.tensor([[0, 2, -100, -100], [1, -100, -100, -100]])
    logs = scores.log_softmax(-1)
    wanted = -(logs[0, 0, 0] + logs[0, 1, 2] + logs[1, 0, 1]) / 3
    assert float(label_loss(scores, tags)) == pytest.approx(float(wanted))
    chances = torch.tensor([[1.0, 0.0, 1.0]])
    wanted = torch.nn.functional.binary_cross_entropy(scores[0, :1].sigmoid(), chances)
    assert float(label_loss(scores[0, :1], chances)) == pytest.approx(float(wanted))
    assert float(label_loss(torch.tensor([[2.0]]), torch.tensor([[5.0]]))) == 9.0


@pytest.mark.parametrize(
    ("task", "problem", "width", "kind"),
    [
        ("text-classification", "", 3, "scores"),
        ("text-classification", "", 1, "number"),
        ("text-classification", "multi_label_classification", 3, "chances"),
        ("text-classification", "regression", 3, "number"),
        ("token-classification", "", 5, "scores"),
        ("fill-mask", "", 500, "scores"),
        ("question-answering", "", 0, "ends"),
        ("sentence-embedding", "", 32, "direction"),
        ("feature-extraction", "", 32, "tokens"),
        ("text-ranking", "", 1, "number"),
    ],
)
def test_kinds_of_outputs(task: str, problem: str, width: int, kind: str) -> None:
    assert output_kind(task, TaskSettings(problem_type=problem), width) == kind


def test_an_epoch_has_every_row_once_in_batches_of_like_lengths() -> None:
    lengths = [(7 * i) % 60 + 1 for i in range(500)]
    batches = epoch_batches(lengths, 8, 200, seed=1, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(500))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 200
        assert len(batch) <= 8
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert batches == epoch_batches(lengths, 8, 200, seed=1, epoch=0)
    assert batches != epoch_batches(lengths, 8, 200, seed=1, epoch=1)
    assert batches != epoch_batches(lengths, 8, 200, seed=2, epoch=0)


def test_length_order_is_exact() -> None:
    assert list(in_length_order([3, 1, 2, 9], 2, 100)) == [[1, 2], [0, 3]]
    assert list(in_length_order([5, 5, 50], 8, 10)) == [[0, 1], [2]]
