"""Sentence-transformers folders give sentence-transformers' own embeddings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx import text
from edge_tx.errors import UnsupportedModel
from edge_tx.exporters import source
from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
TEXTS = [
    "A fox.",
    "Der schnelle braune Fuchs springt über den faulen Hund, während es draußen regnet.",
    "",
    "東京は日本の首都です。 🚀",
]
LEFT = {"padding_side": "left"}


def ours(traced: Traced, texts: list[str]) -> Array:
    """All texts in one padded batch, through edge_tx's own tokenizer."""
    tokenizer = text.Tokenizer(traced.tokenizer_json, traced.policy)
    rows = [
        text.Row(item, list(encoding.ids), encoding)
        for item, encoding in enumerate(tokenizer.encode(texts))
    ]
    return traced.reference(text.collate(rows, traced.policy))["sentence_embedding"]


def theirs(folder: Path, texts: list[str]) -> Array:
    """The oracle."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return np.asarray(model.encode(texts, batch_size=len(texts)))


def edit(path: Path, **changes: Any) -> None:
    """Changes keys of a JSON file; None removes one."""
    value = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}))


@pytest.mark.parametrize("side", [{}, LEFT], ids=["right", "left"])
@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "new"])
@pytest.mark.parametrize("mode", MODES)
def test_every_pooling_mode(
    mode: str, legacy: bool, side: dict[str, str], tiny_sentence_model: Callable[..., Path]
) -> None:
    folder = tiny_sentence_model(
        "bert", pooling=[mode], legacy=legacy, normalize=False, tokenizer=side
    )
    traced = source.load(folder)
    assert traced.task == "sentence-embedding"
    assert traced.source.modules == (f"pooling:{mode}",)
    # One padded on the left would answer by its company: each alone.
    for some in [[one] for one in TEXTS] if side else [TEXTS]:
        np.testing.assert_allclose(ours(traced, some), theirs(folder, some), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "new"])
def test_every_module_in_order(legacy: bool, tiny_sentence_model: Callable[..., Path]) -> None:
    folder = tiny_sentence_model(
        "mpnet",
        pooling=["cls", "max", "mean"],
        dense=24,
        layer_norm=True,
        dropout=True,
        legacy=legacy,
    )
    traced = source.load(folder)
    assert traced.source.modules == (
        "pooling:cls+max+mean",
        "dense:96x24:tanh",
        "layer_norm",
        "normalize",
    )
    assert traced.outputs[0].shape == ("batch", 24)
    np.testing.assert_allclose(ours(traced, TEXTS), theirs(folder, TEXTS), atol=1e-6)


@pytest.mark.parametrize("name", ["Identity", "GELU", "ReLU", "Sigmoid"])
def test_dense_activations(name: str, tiny_sentence_model: Callable[..., Path]) -> None:
    package = "linear" if name == "Identity" else "activation"
    folder = tiny_sentence_model(
        dense=8, dense_activation=f"torch.nn.modules.{package}.{name}", normalize=False
    )
    np.testing.assert_allclose(ours(source.load(folder), TEXTS), theirs(folder, TEXTS), atol=1e-6)


def test_residual_dense_of_token_embeddings(
    tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_sentence_model(dense=8, legacy=False), tmp_path / "residual")
    edit(folder / "2_Dense" / "config.json", use_residual=True)
    path = folder / "2_Dense" / "model.safetensors"
    draw = torch.Generator().manual_seed(3)
    residual = torch.randn((8, 32), generator=draw)
    save_file({**load_file(path), "residual.weight": residual}, path)
    np.testing.assert_allclose(ours(source.load(folder), TEXTS), theirs(folder, TEXTS), atol=1e-6)


@pytest.mark.parametrize("family", ["roberta", "modernbert", "deberta-v2", "albert"])
def test_other_families(family: str, tiny_sentence_model: Callable[..., Path]) -> None:
    folder = tiny_sentence_model(family)
    np.testing.assert_allclose(ours(source.load(folder), TEXTS), theirs(folder, TEXTS), atol=1e-6)


def test_a_plain_transformer_is_mean_pooled(tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model("distilbert", "fill-mask")
    traced = source.load(folder, task="sentence-embedding")
    assert traced.source.modules == ("pooling:mean",)
    np.testing.assert_allclose(ours(traced, TEXTS), theirs(folder, TEXTS), atol=2e-6)


def test_lower_casing_is_baked_into_the_tokenizer(
    tiny_sentence_model: Callable[..., Path],
) -> None:
    options = {"do_lower_case": False}
    folder = tiny_sentence_model("bert", do_lower_case=True, tokenizer=options)
    traced = source.load(folder)
    shouted = ["THE QUICK BROWN FOX", "ÜBER DEN HUND"]
    found = ours(traced, shouted)
    np.testing.assert_allclose(found, theirs(folder, shouted), atol=1e-6)
    np.testing.assert_allclose(found, ours(traced, [t.lower() for t in shouted]), atol=1e-6)


@pytest.mark.parametrize(
    ("own", "tokenizer", "expected"),
    [(64, 128, 64), (None, 100, 100), (100, 64, 100), (999, 64, 128)],
)
def test_max_length(
    own: int | None, tokenizer: int, expected: int, tiny_sentence_model: Callable[..., Path]
) -> None:
    folder = tiny_sentence_model(max_seq_length=own, tokenizer={"model_max_length": tokenizer})
    assert source.load(folder).policy.max_length == expected


def test_settings(tiny_sentence_model: Callable[..., Path]) -> None:
    prompts = {"query": "query: ", "document": ""}
    folder = tiny_sentence_model(prompts=prompts, default_prompt_name="query", similarity="dot")
    settings = source.load(folder).settings
    assert settings.prompts == prompts
    assert settings.default_prompt == "query"
    assert settings.similarity == "dot"


def test_the_hash_covers_the_weights_of_every_module(
    tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sentence_model(dense=8), tmp_path / "changed")
    before = source.load(folder).source
    path = folder / "2_Dense" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    after = source.load(folder).source
    assert after.sha256 != before.sha256
    assert after.parameters == before.parameters


def test_an_old_layout_with_the_transformer_in_a_folder(
    tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    flat = tiny_sentence_model()
    folder = tmp_path / "old"
    shutil.copytree(flat / "1_Pooling", folder / "1_Pooling")
    (folder / "0_BERT").mkdir()
    for entry in flat.iterdir():
        if entry.is_file():
            own = entry.name in ("modules.json", "config_sentence_transformers.json")
            shutil.copy(entry, folder if own else folder / "0_BERT")
    modules = json.loads((flat / "modules.json").read_text())
    modules[0]["path"] = "0_BERT"
    (folder / "modules.json").write_text(json.dumps(modules))
    traced = source.load(folder)
    assert traced.policy.max_length == 64
    np.testing.assert_allclose(ours(traced, TEXTS), theirs(folder, TEXTS), atol=1e-6)


def test_token_features_of_a_sentence_model(tiny_sentence_model: Callable[..., Path]) -> None:
    traced = source.load(tiny_sentence_model(), task="feature-extraction")
    assert traced.source.modules == ()
    assert traced.outputs[0].shape == ("batch", "seq", 32)
    assert traced.policy.max_length == 64


# ------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "kind",
    [
        "sentence_transformers.models.WeightedLayerPooling",
        "sentence_transformers.models.LSTM",
        "sentence_transformers.sparse_encoder.models.SpladePooling",
        "custom_module.Normalize",
        "custom_module.Dropout",
    ],
)
def test_an_unknown_module_is_named_never_skipped(
    kind: str, tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sentence_model(), tmp_path / "unknown")
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    modules[-1]["type"] = kind
    path.write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match=kind):
        source.load(folder)


def _remove_pooling(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([m for m in modules if m["idx"] != 1]))


def _only_transformer(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))


def _first_unknown(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.models.CLIPModel"
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove_pooling, "dense:32x8:tanh reads sentence_embedding"),
        (_only_transformer, "has no Pooling"),
        (_first_unknown, "begins with .*CLIPModel"),
        (
            lambda f: edit(f / "1_Pooling" / "config.json", pooling_mode="median"),
            "pools by 'median'",
        ),
        (lambda f: edit(f / "1_Pooling" / "config.json", surprise=1), "unknown surprise"),
        (
            lambda f: edit(f / "2_Dense" / "config.json", activation_function="os.system"),
            "os.system, which is none of torch.nn",
        ),
        (
            lambda f: edit(f / "2_Dense" / "config.json", activation_function="torch.nn.init"),
            "torch.nn.init, which is none of torch.nn",
        ),
        (lambda f: edit(f / "2_Dense" / "config.json", in_features=16), "do not fit"),
        (lambda f: edit(f / "2_Dense" / "config.json", in_features=None), "incomplete"),
        (
            lambda f: edit(f / "sentence_bert_config.json", query_expansion={"length": 32}),
            "query_expansion",
        ),
        (
            lambda f: edit(f / "sentence_bert_config.json", transformer_task="fill-mask"),
            "transformer_task",
        ),
        (lambda f: edit(f / "sentence_bert_config.json", max_seq_length="64"), "max_seq_length"),
        (
            lambda f: edit(f / "config_sentence_transformers.json", default_prompt_name="passage"),
            "default prompt 'passage'",
        ),
        (
            lambda f: edit(f / "config_sentence_transformers.json", prompts=["query"]),
            "not texts by name",
        ),
        (
            lambda f: edit(f / "config_sentence_transformers.json", similarity_fn_name="maxsim"),
            "maxsim",
        ),
        (
            lambda f: edit(f / "config_sentence_transformers.json", model_type="SparseEncoder"),
            "is a SparseEncoder",
        ),
        (lambda f: (f / "2_Dense" / "model.safetensors").unlink(), "holds no weights"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    damage: Callable[[Path], None],
    message: str,
    tiny_sentence_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(tiny_sentence_model(dense=8), tmp_path / "damaged")
    damage(folder)
    with pytest.raises(UnsupportedModel, match=message) as caught:
        source.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [8, 100])
def test_a_saved_truncation_is_in_the_graph(
    size: int, tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    plain = tiny_sentence_model("bert", dense=24)
    SentenceTransformer(str(plain), device="cpu", truncate_dim=size).save_pretrained(
        str(tmp_path / "cut")
    )
    traced = source.load(tmp_path / "cut")
    assert traced.source.modules[-1] == f"truncate:{size}"
    assert traced.outputs[0].shape == ("batch", min(size, 24))
    np.testing.assert_allclose(ours(traced, TEXTS), theirs(tmp_path / "cut", TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    "more",
    [
        {"processor_kwargs": {"model_max_length": 10}},
        {"tokenizer_args": {"truncation_side": "left"}},
        {"config_kwargs": {"hidden_act": "relu"}},
        {"model_args": {"attn_implementation": "eager", "torch_dtype": "float32", "x": 1}},
        {"no_such_setting": 1},
    ],
)
def test_what_is_handed_to_transformers_is_never_dropped(
    more: dict[str, Any], tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sentence_model("bert"), tmp_path / "m")
    edit(folder / "sentence_bert_config.json", **more)
    with pytest.raises(UnsupportedModel, match=next(iter(more))):
        source.load(folder)


def test_what_changes_no_answer_is_allowed(
    tiny_sentence_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sentence_model("bert"), tmp_path / "m")
    harmless = {"attn_implementation": "eager", "add_pooling_layer": False}
    edit(folder / "sentence_bert_config.json", model_args=harmless, tokenizer_args={})
    np.testing.assert_allclose(ours(source.load(folder), TEXTS), theirs(folder, TEXTS), atol=1e-6)


def test_prompts_left_out_of_the_pooling(tiny_sentence_model: Callable[..., Path]) -> None:
    # Without prompts there is nothing to leave out.
    folder = tiny_sentence_model(include_prompt=False)
    np.testing.assert_allclose(ours(source.load(folder), TEXTS), theirs(folder, TEXTS), atol=1e-6)
    assert not source.load(folder).settings.include_prompt
    with pytest.raises(UnsupportedModel, match="include_prompt"):
        source.load(tiny_sentence_model(include_prompt=False, prompts={"query": "query: "}))


def test_real_minilm(minilm_path: Path) -> None:
    traced = source.load(minilm_path)
    assert traced.policy.max_length == 256
    assert traced.source.sha256 == (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )
    assert traced.source.modules == ("pooling:mean", "normalize")
    texts = [*TEXTS, "word " * 400]
    np.testing.assert_allclose(ours(traced, texts), theirs(minilm_path, texts), atol=1e-6)
