"""Setting weights of tiny models to zero, and dropping their layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_tx.calibration.sparsity import Sparsified, sparsify  # noqa: E402
from edge_tx.calibration.sparsity_inputs import gram_matrices, linear_groups  # noqa: E402
from edge_tx.calibration.sparsity_layers import (  # noqa: E402
    drop_layers,
    layers_of,
    search_layers,
)
from edge_tx.errors import InvalidConfig, UnknownName, UnsupportedModel  # noqa: E402
from edge_tx.exporters import source  # noqa: E402

pytestmark = pytest.mark.export

Model = Callable[..., Path]
TEXTS = [f"{a} {b} sat on the {c}." for a in ("the", "my") for b in ("cat", "dog", "old cat")
         for c in ("mat", "big red mat", "film")]  # fmt: skip
FAMILIES = ("bert", "distilbert", "mpnet", "deberta-v2", "modernbert", "mobilebert", "electra")


def score(done: Sparsified) -> float:
    assert done.after is not None
    return done.after


def weights(folder: Path) -> dict[str, Any]:
    module = source.load(folder).module
    return {name: m.weight for group in linear_groups(module) for name, m in group.linears.items()}


@pytest.mark.parametrize("method", ["obs", "l1", "l1_global", "movement"])
def test_half_of_the_weights_go_and_the_folder_is_an_ordinary_one(
    method: str, tiny_model: Model, tmp_path: Path
) -> None:
    model = tiny_model("bert", "text-classification")
    done = sparsify(model, tmp_path / "out", method=method, data=TEXTS, dev=TEXTS)
    assert done.sparsity == pytest.approx(0.5, abs=1e-3)
    assert done.before == 1.0
    # Movement trains, and a few texts teach random weights nothing.
    assert (-1 if method == "movement" else 0.3) < score(done) < 1
    found = weights(tmp_path / "out")
    zeros = sum(int((w == 0).sum()) for w in found.values())
    assert zeros == sum(m.zeros for m in done.matrices)
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"tokenizer.json", "config.json"}
    record = json.loads((tmp_path / "out" / "sparsity.json").read_text())
    assert record["method"] == method
    assert record["sparsity"] == done.sparsity
    import transformers

    transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")


def test_second_order_is_nearer_to_the_model_than_size(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "feature-extraction")
    obs, l1 = (
        sparsify(model, tmp_path / method, method=method, data=TEXTS, dev=TEXTS)
        for method in ("obs", "l1")
    )
    assert score(obs) > score(l1)


def test_training_masks_keeps_more_than_size_alone(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "feature-extraction")
    moved, l1 = (
        sparsify(
            model, tmp_path / method, method=method, pattern="2:4", data=TEXTS, dev=TEXTS, epochs=20
        )
        for method in ("movement", "l1")
    )
    assert score(moved) > score(l1)
    assert moved.matrices == l1.matrices


def test_a_pattern_holds_in_every_matrix_that_it_fits(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "feature-extraction", intermediate_size=50)
    sparsify(model, tmp_path / "out", pattern="2:4", data=TEXTS)
    for weight in weights(tmp_path / "out").values():
        if weight.shape[1] % 4 == 0:
            assert (weight != 0).reshape(-1, 4).sum(-1).max() == 2
        else:
            assert (weight != 0).all()


@pytest.mark.parametrize("family", [*FAMILIES, "albert"])
def test_every_family_can_be_thinned_out(family: str, tiny_model: Model, tmp_path: Path) -> None:
    done = sparsify(
        tiny_model(family, "feature-extraction"), tmp_path / "out", data=TEXTS, scope="all"
    )
    assert all(m.zeros == round(m.weights / 2) for m in done.matrices)
    assert any("embeddings" in m.name for m in done.matrices)


def test_sentence_models_keep_their_modules(tiny_sentence_model: Model, tmp_path: Path) -> None:
    model = tiny_sentence_model(dense=16)
    done = sparsify(model, tmp_path / "out", method="l1", ratio=0.2, dev=TEXTS)
    assert score(done) > 0.8
    assert source.load(tmp_path / "out").source.modules == source.load(model).source.modules


def test_padding_and_batching_do_not_change_the_gram_matrix(tiny_model: Model) -> None:
    from edge_tx.calibration.distillation_rows import tensors_of
    from edge_tx.text import Row, Tokenizer

    traced = source.load(tiny_model("bert", "feature-extraction"))
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    rows = [Row(i, e.ids, e) for i, e in enumerate(tokenizer.encode(TEXTS))]
    group = linear_groups(traced.module)[1]
    together = gram_matrices(traced.module, group, [tensors_of(rows, traced.policy)])
    alone = gram_matrices(traced.module, group, [tensors_of([r], traced.policy) for r in rows])
    assert together.keys() == group.linears.keys()
    for name, gram in together.items():
        torch.testing.assert_close(gram, alone[name], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "best"}, UnknownName, "unknown method 'best'"),
        ({"scope": "heads"}, UnknownName, "unknown scope"),
        ({"ratio": 1.0}, InvalidConfig, "above 0 and below 1"),
        ({"pattern": "5:4"}, InvalidConfig, "n:m"),
        ({"method": "l1_global", "pattern": "2:4"}, InvalidConfig, "keeps no pattern"),
        ({"data": None}, InvalidConfig, "give data"),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        sparsify("nowhere", tmp_path / "out", **{"data": TEXTS, **options})


def test_what_is_there_is_not_replaced(tiny_model: Model, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("x")
    with pytest.raises(InvalidConfig, match="there already"):
        sparsify(tiny_model("bert", "feature-extraction"), tmp_path / "out", method="l1")


@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_layers_are_gone_after_loading(
    family: str, tiny_model: Model, tmp_path: Path
) -> None:
    from edge_tx.calibration.distillation_folder import new_folder, write_model
    from edge_tx.exporters.checkpoint import open_checkpoint

    model = tiny_model(family, "feature-extraction", num_hidden_layers=3)
    traced = source.load(model)
    before = list(layers_of(traced.module.transformer))
    drop_layers(traced.module.transformer, [2, 0])
    assert list(layers_of(traced.module.transformer)) == [before[0], before[2]]
    target = new_folder(tmp_path / "out")
    write_model(traced.module.transformer, open_checkpoint(model), target, {})
    feeds = {s.name: torch.tensor([[5, 6, 7]]).numpy() for s in traced.inputs}
    feeds["attention_mask"][:] = 1
    if "token_type_ids" in feeds:
        feeds["token_type_ids"][:] = 0
    again = source.load(target).reference(feeds)
    for name, value in traced.reference(feeds).items():
        assert (again[name] == value).all()


def test_the_least_harmful_layers_are_dropped(tiny_model: Model) -> None:
    network = source.load(tiny_model("bert", "feature-extraction", num_hidden_layers=4)).module
    layers = layers_of(network.transformer)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        for number in (0, 2):  # layers that do next to nothing
            for part in (layers[number].attention.output, layers[number].output):
                part.dense.weight.zero_()
                part.dense.bias.zero_()
                part.LayerNorm.weight.fill_(1)
                part.LayerNorm.bias.zero_()
        whole = network(ids, torch.ones_like(ids), torch.zeros_like(ids))[0]

        def harm() -> float:
            out = network(ids, torch.ones_like(ids), torch.zeros_like(ids))[0]
            return float((out - whole).square().mean())

        steps: list[tuple[int, int]] = []
        kept = search_layers(network.transformer, 2, harm, lambda *at: steps.append(at))
        assert harm() == 0
    assert kept == (1, 3)
    assert steps == [(done, 7) for done in range(7)]


@pytest.mark.parametrize("keep", [[], [0, 0], [5], [-1]])
def test_layers_that_are_not_there(keep: list[int], tiny_model: Model) -> None:
    network = source.load(tiny_model("bert", "feature-extraction")).module.transformer
    with pytest.raises(InvalidConfig, match="from 0 to 1"):
        drop_layers(network, keep)


def test_layers_that_cannot_be_dropped(tiny_model: Model) -> None:
    albert = source.load(tiny_model("albert", "feature-extraction")).module.transformer
    with pytest.raises(UnsupportedModel, match="no list of 2 layers"):
        drop_layers(albert, [0])
    modern = source.load(tiny_model("modernbert", "feature-extraction")).module.transformer
    with pytest.raises(InvalidConfig, match="built unlike"):
        drop_layers(modern, [1])


def test_the_result_says_how_many(tmp_path: Path) -> None:
    from edge_tx.calibration.sparsity import Matrix

    done = Sparsified("out", "l1", (Matrix("a", 10, 5), Matrix("b", 30, 5)))
    assert done.sparsity == 0.25
    assert done.to_dict()["matrices"][0] == {"name": "a", "weights": 10, "zeros": 5}
