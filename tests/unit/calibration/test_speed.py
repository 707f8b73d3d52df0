"""The verdict is arithmetic; that graphs run in turns is seen from the outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_tx import tasks
from edge_tx.answering import Prepared
from edge_tx.bundle import Bundle
from edge_tx.calibration import speed
from edge_tx.calibration.plan import Plan, make_plan
from edge_tx.calibration.speed import Pace, Verdict
from edge_tx.tensors import Array


def verdict(*pairs: tuple[int, int], size: int = 25) -> Verdict:
    paces = tuple(Pace(32 * (i + 1), *pair) for i, pair in enumerate(pairs))
    return Verdict(paces, 100, size)


@pytest.mark.parametrize(
    ("pairs", "speedup", "worth"),
    [
        (((200, 100),), 2.0, True),
        (((110, 100),), 1.1, True),
        (((109, 100),), 1.09, False),
        (((200, 100), (100, 200)), 1.0, False),  # the geometric mean: no length hides another
        (((400, 100), (100, 100)), 2.0, True),
    ],
)
def test_verdicts(pairs: tuple[tuple[int, int], ...], speedup: float, worth: bool) -> None:
    found = verdict(*pairs)
    assert found.speedup == pytest.approx(speedup)
    assert found.worth is worth
    assert found.size_ratio == 0.25


def test_the_manifest_gets_both_times() -> None:
    assert verdict((200, 100), (300, 100)).metrics() == {
        "latency_ns_seq32": 100.0,
        "latency_ns_seq32_fp32": 200.0,
        "latency_ns_seq64": 100.0,
        "latency_ns_seq64_fp32": 300.0,
    }


def plan(**settings: Any) -> Plan:
    chosen: dict[str, Any] = {
        "data": ["a"], "dev": None, "metric": "cosine", "max_drop": 0.01, "target": "host",
        "goal": "speed", "keep": False, "samples": 8, "seed": 0, "threads": 1,
    } | settings  # fmt: skip
    return make_plan("fake", "weight_w8", **chosen)


@pytest.mark.parametrize(
    ("settings", "found", "wanted"),
    [
        ({}, verdict((200, 100)), True),
        ({}, verdict((100, 100)), False),
        ({}, None, True),  # another device: nobody can say here
        ({"goal": "size"}, verdict((50, 100)), True),
        ({"keep": True}, verdict((50, 100)), True),
    ],
)
def test_what_is_not_faster_is_wanted_for_its_size_or_on_request(
    settings: dict[str, Any], found: Verdict | None, wanted: bool
) -> None:
    assert plan(**settings).wants(found) is wanted


@dataclass
class Counting:
    """A session that says when it ran, and at which lengths."""

    name: str
    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        assert feeds["attention_mask"].all()
        self.calls.append((self.name, feeds["input_ids"].shape))
        return {}


def test_graphs_run_in_turns_at_both_lengths_of_the_model(
    layered_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "_BLOCK_NS", 0)  # the least number of calls
    monkeypatch.setattr(speed, "_WARM_NS", 0)
    bundle = Bundle.open(layered_bundle({}))
    task = tasks.create("sentence-embedding", bundle.manifest.settings)
    rows = Prepared(task, bundle.tokenizer(), ["word1 word2 word3"] * 3, {}).rows
    calls: list[tuple[str, tuple[int, ...]]] = []
    one: Any = Counting("fp32", calls)
    other: Any = Counting("int8", calls)
    inputs = ("input_ids", "attention_mask")
    assert [p.seq for p in speed.compare(one, other, rows, inputs, most=64)] == [32, 64]
    assert [p.seq for p in speed.compare(one, other, rows, inputs, most=16)] == [16]
    calls.clear()
    speed.compare(one, other, rows, inputs, most=16)
    assert {shape for _, shape in calls} == {(1, 16)}
    order = "".join(name[0] for name, _ in calls)
    assert order.startswith("ffii")  # warm-up
    assert order[4:12] == "ffiiiiff"  # then blocks, each side first in turn
    assert order.count("f") == order.count("i")
