"""A layout is measured, the fastest taken, and the others closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter
from edge_tx.errors import SessionFailed
from edge_tx.manifest import TaskSettings
from edge_tx.runtimes import batch_layout
from edge_tx.runtimes.batch_layout import choose_layout, open_layout
from edge_tx.text import TokenizerPolicy
from tests.data import fakes


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Two unquantised graphs and a tokenizer of two words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "cat": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    policy = TokenizerPolicy(max_length=8, inputs=fakes.NAMES, special={"pad": 0})
    settings = TaskSettings(similarity="cosine")
    with BundleWriter(tmp_path / "two.bundle") as writer:
        for name in ("fake-one", "fake-two"):
            fakes.add_graph(writer, fakes.output("sentence_embedding", 4), name)
        text = str(tokenizer.to_str())
        return Bundle.open(fakes.commit(writer, "sentence-embedding", settings, policy, text))


def test_every_graph_and_width_is_tried_and_the_fastest_stays_open(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds: dict[tuple[str, int], float] = {
        ("fake-one", 2): 5.0, ("fake-one", 1): 7.0, ("fake-two", 2): 9.0, ("fake-two", 1): 3.0,
    }  # fmt: skip
    opened: list[Any] = []

    def speed(model: Any, _options: Any, _sample: Any) -> float:
        opened.append(model)
        told = model.describe()
        return speeds[told.graph, told.placement.streams]

    monkeypatch.setattr(batch_layout, "_speed", speed)
    layout, model = choose_layout(bundle, {"threads": 2}, {}, ["cat"])
    assert (layout.graph, layout.streams, layout.threads) == ("fake-two", 2, 2)
    assert layout.measured == {f"{graph} x {n}": speed for (graph, n), speed in speeds.items()}
    assert model("cat").tokens == 1
    closed = [other for other in opened if other is not model]
    assert len(closed) == 3
    for other in closed:
        with pytest.raises(SessionFailed, match="closed"):
            other("cat")
    model.close()


def test_a_real_measurement_gives_speeds(bundle: Bundle) -> None:
    layout, model = choose_layout(bundle, {"threads": 2}, {}, ["cat cat", "cat"] * 50)
    assert len(layout.measured) == 4
    assert min(layout.measured.values()) > 0
    model.close()


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ({"threads": 2}, ("fake-one", 2)),
        ({"threads": 2, "streams": 1}, ("fake-one", 1)),
        ({"threads": 1, "graph": "fake-two"}, ("fake-two", 1)),
    ],
)
def test_without_a_sample_nothing_is_measured(
    opening: dict[str, Any], expected: tuple[str, int], bundle: Bundle
) -> None:
    layout, model = choose_layout(bundle, opening, {}, [])
    assert (layout.graph, layout.streams) == expected
    assert layout.measured == {}
    model.close()
    again: Callable[..., Any] = open_layout
    with again(bundle, opening, layout) as model:
        assert model.describe().graph == expected[0]
