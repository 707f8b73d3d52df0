"""The gate, with the reference itself as the graph, changed in one way at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from edge_tx import tasks
from edge_tx.errors import InvalidConfig, InvalidInput, ParityFailed, UnsupportedModel
from edge_tx.exporters import source, texts
from edge_tx.exporters.parity import Budget, Measured, check, measure
from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array
from edge_tx.text import Tokenizer

Change = Callable[[dict[str, Array], Mapping[str, Array]], dict[str, Array]]


class _Reference:
    """A session that runs the reference, and changes what comes out."""

    def __init__(self, traced: Traced, change: Change) -> None:
        self._traced = traced
        self._change = change
        self.shapes: set[tuple[int, ...]] = set()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.shapes.add(feeds["input_ids"].shape)
        outs = {name: out.copy() for name, out in self._traced.reference(feeds).items()}
        return self._change(outs, feeds)


@pytest.fixture(scope="module")
def traced(tiny_model: Any) -> Traced:
    return source.load(tiny_model("bert", "text-classification"), task="text-classification")


@pytest.fixture(scope="module")
def tagger(tiny_model: Any) -> Traced:
    return source.load(tiny_model("bert", "token-classification"), task="token-classification")


def _measure(traced: Traced, change: Change, inputs: list[Any] | None = None) -> Measured:
    return _measured(traced, _Reference(traced, change), inputs)


def _measured(traced: Traced, session: Any, inputs: list[Any] | None = None) -> Measured:
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    task = tasks.create(traced.task, traced.settings)
    if inputs is None:
        inputs = texts.inputs_for(traced.task, tokenizer)
    return measure(traced, session, task, tokenizer, inputs)


def _nothing(outs: dict[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
    return outs


def _plus(value: float) -> Change:
    return lambda outs, feeds: {name: out + value for name, out in outs.items()}


def test_the_reference_is_equal_to_itself(traced: Traced) -> None:
    session = _Reference(traced, _nothing)
    parity = check(_measured(traced, session), Budget(), "onnx-fp32")
    assert (parity.max_abs_error, parity.agreement) == (0.0, 1.0)
    assert parity.min_cosine == pytest.approx(1.0)
    assert {1, 16} <= {batch for batch, _ in session.shapes}
    assert min(seq for batch, seq in session.shapes if batch == 1) <= 3
    assert max(seq for batch, seq in session.shapes if batch == 1) == traced.policy.max_length


def test_small_error_passes_and_is_recorded(traced: Traced) -> None:
    parity = check(_measure(traced, _plus(1e-5)), Budget(), "g")
    assert parity.max_abs_error == pytest.approx(1e-5, rel=0.1)


def test_large_error_is_one_line_with_numbers_and_the_worst_text(traced: Traced) -> None:
    def one_text(outs: dict[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
        full = feeds["attention_mask"].sum(axis=1) == traced.policy.max_length
        outs["logits"][full] += 0.1
        return outs

    with pytest.raises(ParityFailed) as info:
        check(_measure(traced, one_text), Budget(), "onnx-fp32")
    message = str(info.value)
    assert "onnx-fp32" in message
    assert "budget 0.0001" in message
    assert "characters)" in message
    assert "\n" not in message
    assert len(message) < 400


def test_wide_budget_lets_an_error_pass_but_not_a_changed_answer(traced: Traced) -> None:
    def turned(outs: dict[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {"logits": np.roll(outs["logits"], 1, axis=-1)}

    wide = Budget(max_abs_error=1e9, min_cosine=-1.0)
    with pytest.raises(ParityFailed, match="answers equal"):
        check(_measure(traced, turned), wide, "g")
    check(_measure(traced, turned), Budget(1e9, -1.0, 0.0), "g")


def test_cosine_has_a_budget_of_its_own(traced: Traced) -> None:
    budget = Budget(max_abs_error=1e9, min_cosine=0.99999, min_agreement=0.0)
    with pytest.raises(ParityFailed, match="cosine"):
        check(_measure(traced, _plus(0.5)), budget, "g")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_not_finite_never_passes(bad: float, traced: Traced) -> None:
    measured = _measure(traced, _plus(bad))
    with pytest.raises(ParityFailed, match="NaN or infinity"):
        check(measured, Budget(1e30, -1.0, 0.0), "g")


def test_reference_that_is_not_finite_is_the_checkpoints_fault(traced: Traced) -> None:
    import dataclasses

    import torch

    class Broken(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *feeds: Any) -> Any:
            return (traced.module(*feeds)[0] * float("nan"),)

    broken = dataclasses.replace(traced, module=Broken())
    with pytest.raises(UnsupportedModel, match="checkpoint itself"):
        _measured(broken, _Reference(traced, _nothing))


def test_padding_is_not_compared(tagger: Traced) -> None:
    def padding_only(outs: dict[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
        outs["logits"][feeds["attention_mask"] == 0] = 1e6
        return outs

    assert check(_measure(tagger, padding_only), Budget(), "g").max_abs_error == 0.0


def test_one_wrong_token_is_found(tagger: Traced) -> None:
    def last_token(outs: dict[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
        last = feeds["attention_mask"].sum(axis=1) - 1
        outs["logits"][np.arange(len(last)), last] += 0.01
        return outs

    with pytest.raises(ParityFailed):
        check(_measure(tagger, last_token), Budget(), "g")


def test_shape_that_does_not_follow_the_inputs(traced: Traced) -> None:
    with pytest.raises(ParityFailed, match="does not follow"):
        _measure(traced, lambda outs, feeds: {"logits": outs["logits"][:1].repeat(3, axis=0)})


def _near_tie(traced: Traced, gap: float, error: float) -> Measured:
    """Two labels are ``gap`` apart; the graph is off by ``error`` and swaps them."""
    import dataclasses

    import torch

    class Tied(torch.nn.Module):  # type: ignore[misc]
        def forward(self, ids: Any, *rest: Any) -> Any:
            return (torch.tensor([[0.0, 0.5 + gap, 0.5]]).repeat(len(ids), 1),)

    tied = dataclasses.replace(traced, module=Tied())
    shift = np.array([0.0, -error, error], dtype=np.float32)
    return _measure(tied, lambda outs, feeds: {"logits": outs["logits"] + shift})


def test_swapped_near_tie_is_no_disagreement(traced: Traced) -> None:
    assert _near_tie(traced, gap=2e-5, error=5e-5).parity.agreement == 1.0


def test_swap_with_a_larger_error_is_one_whatever_the_budget(traced: Traced) -> None:
    measured = _near_tie(traced, gap=2e-3, error=5e-3)
    assert measured.parity.agreement == 0.0
    with pytest.raises(ParityFailed, match=r"0\.0% of answers"):
        check(measured, Budget(max_abs_error=0.1, min_cosine=0.9), "g")


def test_needs_texts_that_the_task_takes(traced: Traced) -> None:
    with pytest.raises(InvalidConfig, match="at least one"):
        _measure(traced, _nothing, [])
    with pytest.raises(InvalidInput):
        _measure(traced, _nothing, [7])
