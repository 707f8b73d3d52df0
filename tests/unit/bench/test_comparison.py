"""Two reports held against each other."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx.comparison import FLOOR, UNKNOWN, Comparison, compare, ratio_interval
from edge_tx.comparison_text import headline, markdown
from edge_tx.errors import InvalidConfig
from edge_tx.report import Memory, Noise, Report, ReportContext, ReportRow
from edge_tx.stats import LatencyStats

QUIET = Noise(1, 0.01, True, "quiet machine")


def samples(middle: float, count: int = 200, seed: int = 0) -> tuple[int, ...]:
    draw = random.Random(seed)
    return tuple(max(1, int(draw.gauss(middle, middle * 0.02))) for _ in range(count))


def row(graph: str, times: Sequence[int] = (), **more: Any) -> ReportRow:
    base = ReportRow(graph, "fake", "fp32", 1, 1, 32, 9, model="m")
    if times:
        base = replace(base, samples_ns=tuple(times), latency=LatencyStats.of(times))
    return replace(base, **more)


def report(*rows: ReportRow, noise: Noise | None = QUIET) -> Report:
    device = {"cpu": {"model": "x"}}
    return Report(ReportContext(device, {}, "2026-01-01T00:00:00+00:00", noise=noise), rows)


def verdicts(found: Comparison) -> dict[str, str]:
    return {cell.label.split(",")[0].split()[-1]: cell.verdict for cell in found.cells}


def test_every_kind_of_verdict() -> None:
    failed: dict[str, Any] = {
        "status": "failed",
        "failure": "killed",
        "note": "the process was killed",
    }
    before = report(
        row("same", samples(1e6)),
        row("slower", samples(1e6)),
        row("faster", samples(1e6)),
        row("breaks", samples(1e6)),
        row("heals", **failed),
        row("never", **failed),
        row("gone", samples(1e6)),
    )
    after = report(
        row("same", samples(1e6, seed=1)),
        row("slower", samples(1.5e6, seed=1)),
        row("faster", samples(0.5e6, seed=1)),
        row("breaks", **failed),
        row("heals", samples(1e6)),
        row("never", **failed),
        row("new", samples(1e6)),
    )
    found = compare(before, after)
    assert verdicts(found) == {
        "same": "same", "slower": "slower", "faster": "faster", "breaks": "broken",
        "heals": "fixed", "never": "not run", "new": "new", "gone": "gone",
    }  # fmt: skip
    assert [cell.verdict for cell in found.regressions] == ["slower", "broken"]
    assert json.loads(json.dumps(found.to_dict()))["regressions"] == 2


def test_slower_within_what_is_allowed_is_no_regression() -> None:
    before, after = report(row("g", samples(1e6))), report(row("g", samples(1.08e6)))
    (cell,) = compare(before, after, max_regression=0.1).cells
    assert (cell.verdict, cell.regression) == ("slower", False)
    assert compare(before, after, max_regression=0.05).regressions


def test_what_the_machine_cannot_tell_apart_is_the_same() -> None:
    noisy = Noise(1, 0.2, False, "noisy machine: 20 %")
    before, after = report(row("g", samples(1e6)), noise=noisy), report(row("g", samples(1.15e6)))
    found = compare(before, after, max_regression=0.01)
    assert verdicts(found) == {"g": "same"}
    assert found.margin == 0.2
    assert "before: noisy machine: 20 %" in found.remarks


def test_margin_has_a_floor_and_says_if_noise_is_unknown() -> None:
    known, unknown = report(row("g", samples(1e6))), report(row("g", samples(1e6)), noise=None)
    assert compare(known, known).margin == FLOOR
    found = compare(known, unknown)
    assert found.margin == UNKNOWN
    assert "5% are taken for the noise" in found.remarks[0]


def test_repeats_count_as_samples() -> None:
    before = report(row("g", samples(1e6)))
    after = report(row("g", samples(1e6), repeats_ns=(samples(3e6, 1000),)))
    assert verdicts(compare(before, after)) == {"g": "slower"}


def test_reports_of_other_things_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="no cell in common"):
        compare(report(row("a", samples(1e6))), report(row("b", samples(1e6))))
    with pytest.raises(InvalidConfig, match="max_regression"):
        compare(report(row("a")), report(row("a")), -0.1)


def test_another_processor_is_said() -> None:
    one = report(row("g", samples(1e6)))
    other = replace(one, context=replace(one.context, device={"cpu": {"model": "y"}}))
    assert "the processor differs: x, then y" in compare(one, other).remarks


def test_other_data_and_releases_are_said() -> None:
    one = report(row("g", samples(1e6)))
    context = replace(one.context, data={"path": "b.jsonl"}, versions={"onnxruntime": "2.0"})
    remarks = compare(one, replace(one, context=context)).remarks
    assert "the data differs: None, then b.jsonl" in remarks
    assert "onnxruntime differs: none, then 2.0" in remarks


@pytest.mark.parametrize("name", ["a<!--", "<img src=x>", "a\\|b", "a\nb", "[x](y)"])
def test_names_are_not_markdown(name: str) -> None:
    one = report(row(name, samples(1e6)), row("two", status="failed", note=name))
    text = markdown(compare(one, one))
    assert "<" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    bars = re.compile(r"(?<!\\)(?:\\\\)*\|")  # those that no backslash makes a sign
    assert len({len(bars.findall(line)) for line in table}) == 1


def test_markdown_is_one_table_whatever_names_hold() -> None:
    memory = Memory(100)
    before = report(row("a|b", samples(1e6), memory=memory, accuracy={"f1": 0.9}))
    after = report(
        row("a|b", samples(2e6), memory=replace(memory, peak_bytes=110), accuracy={"f1": 0.85})
    )
    found = compare(before, after)
    text = markdown(found)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    for wanted in ("**1 regression over 5.0%", "slower !", "+10.0%", "f1 -0.0500", "2.0"):
        assert wanted in text
    assert headline(found).count("\n") == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=60),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=60),
)
def test_interval_holds_the_ratio(before: list[int], after: list[int]) -> None:
    ratio, low, high = ratio_interval(before, after)
    assert 0 < low <= ratio <= high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 pairs of measurements of the same thing: the 95 % interval holds 1 nearly always."""
    draw = random.Random(5)
    inside = 0
    for _ in range(200):
        first, second = ([int(draw.lognormvariate(14, 0.1)) for _ in range(80)] for _ in range(2))
        _, low, high = ratio_interval(first, second)
        inside += low <= 1 <= high
    assert inside >= 184
