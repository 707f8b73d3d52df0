"""Removing heads and neurons of every family: the same numbers as masking them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from edge_tx.errors import UnsupportedModel

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.export

FAMILIES = (
    "bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet", "deberta-v2",
    "modernbert",
)  # fmt: skip


def encoder_of(folder: Path) -> tuple[Any, Any]:
    from edge_tx.calibration.pruning_encoder import Encoder
    from edge_tx.exporters import source

    traced = source.load(folder)
    return traced, Encoder(traced.module.transformer)


def batch(traced: Any) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 200, (3, 11), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return (ids, mask, torch.zeros_like(ids))[: len(traced.inputs)]


@pytest.mark.parametrize("family", FAMILIES)
def test_removing_is_masking(tiny_model: Any, tmp_path: Path, family: str) -> None:
    from edge_tx.calibration.pruning import load
    from edge_tx.calibration.pruning_encoder import ATTENTION, FFN, Encoder, Key
    from edge_tx.exporters import source

    traced, _ = encoder_of(tiny_model(family, "text-classification"))
    feeds = batch(traced)
    whole = traced.module(*feeds)[0]
    masked, cut = copy.deepcopy(traced.module), copy.deepcopy(traced.module)
    stay = {Key(0, ATTENTION): [0, 2, 3], Key(1, ATTENTION): [1], Key(0, FFN): [0, 7, 11, 40],
            Key(1, FFN): list(range(5, 37))}  # fmt: skip
    for key, units in stay.items():
        _mask(Encoder(masked.transformer), key, units)
    student = Encoder(cut.transformer)
    for key, units in stay.items():
        student.keep(key, units)
    student.record()
    expected = masked(*feeds)[0]
    torch.testing.assert_close(cut(*feeds)[0], expected, atol=2e-6, rtol=1e-5)
    assert not torch.allclose(expected, whole, atol=1e-3)
    assert [s.neurons for s in student.shapes()][:2] == [4, 32]

    cut.transformer.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert type(again).__name__ == type(cut.transformer).__name__
    names = ("input_ids", "attention_mask")
    out = again.eval()(**dict(zip(names, feeds, strict=False))).logits
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=1e-5)
    for path in tiny_model(family, "text-classification").glob("*token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    loaded = source.load(tmp_path)
    torch.testing.assert_close(loaded.module(*feeds)[0], expected, atol=2e-6, rtol=1e-5)


UNITS = {"attention": 4, "ffn": 48}


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def whole(request: pytest.FixtureRequest, tiny_model: Any) -> Any:
    return encoder_of(tiny_model(request.param, "text-classification"))[0]


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=20, deadline=None)
def test_whatever_is_removed_is_as_if_masked(whole: Any, data: st.DataObject) -> None:
    """Any heads and neurons of any sublayer; the ones with nothing removed are equal to the bit."""
    from edge_tx.calibration.pruning_encoder import Encoder

    masked, cut = copy.deepcopy(whole.module), copy.deepcopy(whole.module)
    student = Encoder(cut.transformer)
    nothing = True
    for key in student.sublayers():
        most = UNITS[key.kind]
        units = data.draw(st.sets(st.integers(0, most - 1), min_size=1) | st.just(range(most)))
        nothing = nothing and len(units) == most
        _mask(Encoder(masked.transformer), key, sorted(units))
        student.keep(key, sorted(units))
    feeds = batch(whole)
    exact = {"atol": 0.0, "rtol": 0.0} if nothing else {"atol": 2e-6, "rtol": 1e-5}
    torch.testing.assert_close(cut(*feeds)[0], masked(*feeds)[0], **exact)


def _mask(encoder: Any, key: Any, units: list[int]) -> None:
    weight = encoder.output(key).weight
    keep = torch.zeros(weight.shape[1])
    keep[encoder.columns(key, units)] = 1
    weight.mul_(keep)


def test_cutting_twice_counts_the_heads_of_the_first_model(tiny_model: Any, tmp_path: Path) -> None:
    from edge_tx.calibration.pruning_encoder import ATTENTION, Key

    traced, encoder = encoder_of(tiny_model("mpnet", "text-classification"))
    masked = copy.deepcopy(traced.module)
    encoder.keep(Key(0, ATTENTION), [0, 2, 3])
    encoder.keep(Key(0, ATTENTION), [1, 2])
    assert encoder.shapes()[0].heads == (2, 3)
    from edge_tx.calibration.pruning_encoder import Encoder

    _mask(Encoder(masked.transformer), Key(0, ATTENTION), [2, 3])
    feeds = batch(traced)
    torch.testing.assert_close(traced.module(*feeds), masked(*feeds), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_layers_go_and_transformers_loads_what_is_even(
    tiny_model: Any, tmp_path: Path, family: str
) -> None:
    import transformers

    from edge_tx.calibration.pruning_encoder import FFN, Key

    traced, encoder = encoder_of(tiny_model(family, "text-classification", **_layers(family, 3)))
    for number in range(3):
        encoder.keep(Key(number, FFN), range(16))
    encoder.keep_layers([0, 2])
    encoder.record()
    traced.module.transformer.save_pretrained(tmp_path)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    feeds = batch(traced)
    out = plain(input_ids=feeds[0], attention_mask=feeds[1]).logits
    torch.testing.assert_close(out, traced.module(*feeds)[0], atol=1e-6, rtol=1e-5)


def _layers(family: str, count: int) -> dict[str, int]:
    return {"n_layers" if family == "distilbert" else "num_hidden_layers": count}


def test_plain_transformers_refuses_what_differs(tiny_model: Any, tmp_path: Path) -> None:
    import transformers

    from edge_tx.calibration.pruning_encoder import ATTENTION, Key

    traced, encoder = encoder_of(tiny_model("bert", "text-classification"))
    encoder.keep(Key(0, ATTENTION), [1])
    encoder.record()
    traced.module.transformer.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="mismatch"):
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("family", "why"), [("albert", "one and the same"), ("mobilebert", "bottlenecks")]
)
def test_families_that_cannot_be_cut_say_why(tiny_model: Any, family: str, why: str) -> None:
    with pytest.raises(UnsupportedModel, match=why):
        encoder_of(tiny_model(family, "text-classification"))


def test_a_convolution_between_layers_is_refused(tiny_model: Any) -> None:
    folder = tiny_model("deberta-v2", "text-classification", conv_kernel_size=3, conv_act="gelu")
    with pytest.raises(UnsupportedModel, match="convolution between its layers"):
        encoder_of(folder)


def test_the_first_layer_of_modernbert_stays(tiny_model: Any) -> None:
    _, encoder = encoder_of(tiny_model("modernbert", "text-classification"))
    with pytest.raises(UnsupportedModel, match="first layer"):
        encoder.keep_layers([1, 2])


@pytest.mark.parametrize(
    "record",
    [
        "yes",
        {},
        {"version": 1, "layers": []},
        {"version": 1, "layers": [{"heads": [0], "ffn": 4}]},
        {"version": 1, "layers": [{"heads": [9], "ffn": 4}] * 2},
        {"version": 1, "layers": [{"heads": [1, 0], "ffn": 4}] * 2},
        {"version": 1, "layers": [{"heads": [], "ffn": 4}] * 2},
        {"version": 1, "layers": [{"heads": [True], "ffn": 4}] * 2},
        {"version": 1, "layers": [{"heads": [0], "ffn": 0}] * 2},
        {"version": 1, "layers": [{"heads": [0], "ffn": 10**9}] * 2},
        {"version": 99, "layers": []},
    ],
)
def test_a_damaged_record_is_one_line(tiny_model: Any, tmp_path: Path, record: object) -> None:
    import json
    import shutil

    from edge_tx.exporters import source

    folder = tmp_path / "model"
    shutil.copytree(tiny_model("bert", "text-classification"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "edge_tx_pruning": record}))
    with pytest.raises(UnsupportedModel, match=r"edge_tx_pruning in config\.json") as caught:
        source.load(folder)
    assert "\n" not in str(caught.value)
