"""Every family becomes a module whose outputs are transformers' own."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from edge_tx import text
from edge_tx.errors import (
    InvalidConfig,
    MissingDependency,
    UnknownName,
    UnsupportedModel,
)
from edge_tx.exporters import source
from edge_tx.exporters.traced import Traced
from edge_tx.tensors import Array

TEXTS = (
    "The quick brown fox",
    "Frau Müller fährt über Nürnberg nach München, während es draußen in Strömen regnet!",
    "東京は日本の首都です。 🚀",
)
PAIRS = ((TEXTS[0], TEXTS[1]), (TEXTS[1], ""), (TEXTS[2], TEXTS[0]))

THREE = ("input_ids", "attention_mask", "token_type_ids")
TWO = ("input_ids", "attention_mask")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "bert": THREE,
    "distilbert": TWO,
    "roberta": TWO,
    "xlm-roberta": TWO,
    "camembert": TWO,
    "albert": TWO,
    "electra": THREE,
    "mpnet": TWO,
    "deberta-v2": TWO,
    "mobilebert": THREE,
    "modernbert": TWO,
}
TASKS: Mapping[str, tuple[str, tuple[str, ...], tuple[str | int, ...]]] = {
    "feature-extraction": ("AutoModel", ("last_hidden_state",), ("batch", "seq", 32)),
    "text-classification": (
        "AutoModelForSequenceClassification",
        ("logits",),
        ("batch", 3),
    ),
    "token-classification": (
        "AutoModelForTokenClassification",
        ("logits",),
        ("batch", "seq", 5),
    ),
    "question-answering": (
        "AutoModelForQuestionAnswering",
        ("start_logits", "end_logits"),
        ("batch", "seq"),
    ),
    "fill-mask": ("AutoModelForMaskedLM", ("logits",), ("batch", "seq", -1)),
}


def feeds_of(traced: Traced, texts: tuple[Any, ...]) -> dict[str, Array]:
    """Feeds by edge_tx's own tokenizer, as the runtime makes them."""
    tokenizer = text.Tokenizer(traced.tokenizer_json, traced.policy)
    rows = [
        text.Row(item, list(encoding.ids), encoding)
        for item, encoding in enumerate(tokenizer.encode(list(texts)))
    ]
    return text.collate(rows, traced.policy)


def own_answers(folder: Path, auto: str, texts: tuple[Any, ...]) -> tuple[Any, Any]:
    """Feeds and outputs by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32).eval()
    fed = tokenizer(list(texts), padding=True, return_tensors="pt")
    with torch.inference_mode():
        return fed, model(**fed)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_equal_transformers(
    family: str, task: str, tiny_model: Callable[..., Path]
) -> None:
    folder = tiny_model(family, task)
    auto, names, shape = TASKS[task]
    traced = source.load(folder)
    fed, expected = own_answers(folder, auto, TEXTS)
    feeds = feeds_of(traced, TEXTS)

    assert traced.task == task
    # ALBERT's question and context are told apart by types, although transformers 5 forgot that.
    typed = (family, task) == ("albert", "question-answering")
    assert traced.policy.inputs == (THREE if typed else FAMILIES[family])
    assert tuple(spec.name for spec in traced.inputs) == traced.policy.inputs
    assert tuple(spec.name for spec in traced.outputs) == names
    for name, array in feeds.items():
        expected_feed = fed[name].numpy() if name in fed else np.zeros_like(array)
        np.testing.assert_array_equal(array, expected_feed, err_msg=name)
    outputs = traced.reference(feeds)
    for spec in traced.outputs:
        width = expected[spec.name].shape[-1]
        wanted = (*shape[:-1], width) if shape[-1] == -1 else shape
        assert spec.shape == wanted
        np.testing.assert_allclose(outputs[spec.name], expected[spec.name].numpy(), atol=2e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_are_fed_as_transformers_feeds_them(
    family: str, tiny_model: Callable[..., Path]
) -> None:
    folder = tiny_model(family, "text-classification")
    traced = source.load(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    fed = tokenizer([list(pair) for pair in PAIRS], padding=True, return_tensors="np")
    for name, array in feeds_of(traced, PAIRS).items():
        np.testing.assert_array_equal(array, fed[name], err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_row_runs_and_is_the_models_limit(
    family: str, tiny_model: Callable[..., Path]
) -> None:
    folder = tiny_model(family, "feature-extraction", tokenizer={"model_max_length": 10**30})
    traced = source.load(folder)
    assert traced.policy.max_length == 128
    feeds = feeds_of(traced, ("many words " * 200,))
    assert feeds["input_ids"].shape == (1, 128)
    assert np.isfinite(traced.reference(feeds)["last_hidden_state"]).all()
    if family not in ("deberta-v2", "modernbert"):  # their positions have no end
        with pytest.raises(InvalidConfig, match="129 is more than the 128 tokens"):
            source.load(folder, max_length=129)


def test_the_module_is_in_eval_mode_and_gives_the_same_twice(
    tiny_model: Callable[..., Path],
) -> None:
    traced = source.load(tiny_model("bert", "text-classification"))
    assert not any(module.training for module in traced.module.modules())
    feeds = feeds_of(traced, TEXTS)
    first, second = (traced.reference(feeds)["logits"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_are_fp32_whatever_is_stored(
    dtype: torch.dtype, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "fill-mask"), tmp_path / "half")
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).to(dtype)
    model.save_pretrained(folder)
    traced = source.load(folder)
    assert {weight.dtype for weight in traced.module.parameters()} == {torch.float32}
    assert traced.reference(feeds_of(traced, TEXTS))["logits"].dtype == np.float32


def test_source_record(tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model("roberta", "token-classification")
    traced = source.load(str(folder))
    own = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    assert traced.source.name == folder.name
    assert traced.source.revision == ""
    assert traced.source.model_type == "roberta"
    assert traced.source.architecture == "RobertaForTokenClassification"
    assert traced.source.modules == ()
    assert traced.source.parameters == sum(p.numel() for p in own.parameters())
    weights = (folder / "model.safetensors").read_bytes()
    assert traced.source.sha256 == hashlib.sha256(weights).hexdigest()


def test_sharded_weights_equal_single_file(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification")
    shards = shutil.copytree(folder, tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    model.save_pretrained(shards, max_shard_size="60KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    whole, split = source.load(folder), source.load(shards)
    feeds = feeds_of(whole, TEXTS)
    np.testing.assert_array_equal(
        whole.reference(feeds)["logits"], split.reference(feeds)["logits"]
    )
    assert whole.source.sha256 != split.source.sha256


# --------------------------------------------------------------------------------- tokenizers


@pytest.mark.parametrize("family", ["xlm-roberta", "camembert"])
def test_a_sentencepiece_file_alone_is_converted(
    family: str, tiny_tokenizers: Any, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model(family, "feature-extraction"), tmp_path / "slow")
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(tiny_tokenizers.sentencepiece_model())
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = 800  # the conversion adds the family's special tokens
    (folder / "config.json").write_text(json.dumps(config))
    model = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    traced = source.load(folder)
    fed = transformers.AutoTokenizer.from_pretrained(folder)(
        list(TEXTS), padding=True, return_tensors="np"
    )
    feeds = feeds_of(traced, TEXTS)
    np.testing.assert_array_equal(feeds["input_ids"], fed["input_ids"])
    assert len(np.unique(feeds["input_ids"])) > 20


def test_a_vocabulary_file_alone_is_converted(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "feature-extraction"), tmp_path / "slow")
    whole = source.load(folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    (folder / "tokenizer.json").unlink()
    feeds = feeds_of(source.load(folder), TEXTS)
    for name, array in feeds_of(whole, TEXTS).items():
        np.testing.assert_array_equal(feeds[name], array, err_msg=name)


def test_tokenizer_config_counts_more_than_tokenizer_json(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "feature-extraction"), tmp_path / "cased")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "do_lower_case": False}))
    traced = source.load(folder)
    fed = transformers.AutoTokenizer.from_pretrained(folder)(["Fox FOX"], return_tensors="np")
    np.testing.assert_array_equal(feeds_of(traced, ("Fox FOX",))["input_ids"], fed["input_ids"])


def test_truncation_and_padding_left_in_tokenizer_json_are_cleared(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "feature-extraction"), tmp_path / "left")
    path = folder / "tokenizer.json"
    config = json.loads(path.read_text())
    config["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    config["padding"] = {
        "strategy": {"Fixed": 50},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    path.write_text(json.dumps(config))
    traced = source.load(folder)
    stored = json.loads(traced.tokenizer_json)
    assert stored["truncation"] is None
    assert stored["padding"] is None
    assert 4 < feeds_of(traced, (TEXTS[1],))["input_ids"].shape[1] < 128


def test_policy_of_a_left_padded_tokenizer(tiny_model: Callable[..., Path]) -> None:
    options = {"padding_side": "left", "truncation_side": "left", "model_max_length": 32}
    folder = tiny_model("roberta", "feature-extraction", tokenizer=options)
    policy = source.load(folder).policy
    assert (policy.padding_side, policy.truncation_side) == ("left", "left")
    assert policy.max_length == 32
    assert policy.pad_id == 1
    assert policy.special == {
        "cls": 0,
        "sep": 2,
        "mask": 4,
        "unk": 3,
        "pad": 1,
        "bos": 0,
        "eos": 2,
    }
    assert source.load(folder, max_length=100).policy.max_length == 100
    with pytest.raises(InvalidConfig, match="1 or more"):
        source.load(folder, max_length=0)


def changed(folder: Path, copy: Path, file: str, **changes: Any) -> Path:
    """A copy of a checkpoint with other values in one of its files."""
    shutil.copytree(folder, copy)
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


def test_generic_tokenizers_tell_a_question_from_its_context(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_model("bert", "question-answering", shallow=True)
    generic = "PreTrainedTokenizerFast"
    folder = changed(folder, tmp_path / "m", "tokenizer_config.json", tokenizer_class=generic)
    traced = source.load(folder)
    assert traced.policy.inputs == THREE
    assert set(feeds_of(traced, (("Who?", "Anna"),))["token_type_ids"].ravel()) == {0, 1}


def test_split_special_tokens_is_refused(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification", shallow=True)
    folder = changed(folder, tmp_path / "m", "tokenizer_config.json", split_special_tokens=True)
    with pytest.raises(UnsupportedModel, match="split_special_tokens"):
        source.load(folder)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert"])
def test_positions_without_a_table_go_on(
    family: str, tiny_model: Callable[..., Path], tiny_sentence_model: Callable[..., Path]
) -> None:
    folder = tiny_model(family, "feature-extraction", shallow=True)
    assert source.load(folder).policy.max_length == 128
    assert source.load(folder, max_length=200).policy.max_length == 200
    traced = source.load(tiny_sentence_model(family, max_seq_length=256))
    assert traced.policy.max_length == 256
    assert feeds_of(traced, ("many words " * 200,))["input_ids"].shape == (1, 256)


def test_layers_that_the_config_leaves_out_are_told(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_model("bert", "text-classification")
    folder = changed(folder, tmp_path / "m", "config.json", num_hidden_layers=1)
    with pytest.raises(UnsupportedModel, match=r"leaves out: bert\.encoder\.layer\.1\..* more"):
        source.load(folder)


def test_the_config_is_part_of_the_source(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_model("bert", "feature-extraction", shallow=True)
    same = changed(folder, tmp_path / "a", "config.json", transformers_version="4.0.0")
    other = changed(folder, tmp_path / "b", "config.json", hidden_act="relu")
    found = [source.load(place).source.config for place in (folder, same, other)]
    assert found[0] == found[1] != found[2]


def test_a_tokenizer_of_another_model_is_refused(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("xlm-roberta", "feature-extraction"), tmp_path / "mixed")
    other = tiny_model("roberta", "feature-extraction")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(other / name, folder / name)
    with pytest.raises(UnsupportedModel, match="not of one checkpoint"):
        source.load(folder)


def test_a_folder_without_a_tokenizer_is_refused(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "fill-mask"), tmp_path / "bare")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModel, match="has no tokenizer"):
        source.load(folder)


def test_a_damaged_tokenizer_is_refused(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model("bert", "fill-mask"), tmp_path / "damaged")
    (folder / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(UnsupportedModel, match=r"tokenizer of .* cannot be loaded"):
        source.load(folder)


# ------------------------------------------------------------------------------- architectures


@pytest.mark.parametrize(
    ("model_type", "architecture", "reason"),
    [
        ("gpt2", "GPT2ForSequenceClassification", "a decoder"),
        ("bart", "BartForSequenceClassification", "an encoder-decoder"),
        ("vit", "ViTModel", "not a text encoder"),
        ("longformer", "LongformerModel", "graph would be wrong"),
        ("big_bird", "BigBirdModel", "attention_type"),
        ("fnet", "FNetModel", "cannot tell padding from text"),
        ("no_such_family", "NoSuchModel", "does not know"),
    ],
)
def test_architectures_that_cannot_be_exported(
    model_type: str,
    architecture: str,
    reason: str,
    tiny_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(tiny_model("bert", "feature-extraction"), tmp_path / "other")
    config: dict[str, Any] = {"model_type": model_type, "architectures": [architecture]}
    if model_type == "fnet":
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}
        own = transformers.FNetConfig(**sizes, pad_token_id=0)
        transformers.FNetModel(own).save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match=reason) as caught:
        source.load(folder)
    assert "\n" not in str(caught.value)


def test_a_bert_that_is_a_decoder_is_refused(tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model("bert", "fill-mask", is_decoder=True)
    with pytest.raises(UnsupportedModel, match="a decoder"):
        source.load(folder)


def test_attention_is_as_asked(tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model("bert", "feature-extraction")
    made = {
        name: source.load(folder, attention=name).module.transformer.config._attn_implementation
        for name in (None, "eager", "sdpa")
    }
    assert made == {None: "sdpa", "eager": "eager", "sdpa": "sdpa"}
    with pytest.raises(UnknownName, match="did you mean 'eager'"):
        source.load(folder, attention="eagre")
    with pytest.raises(InvalidConfig, match="has no sdpa attention"):
        source.load(tiny_model("deberta-v2", "feature-extraction"), attention="sdpa")


def test_missing_weights_are_all_named(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_model("bert", "text-classification"), tmp_path / "holes")
    path = folder / "model.safetensors"
    weights = load_file(path)
    gone = ["bert.encoder.layer.1.output.dense.bias", "classifier.bias"]
    save_file({k: v for k, v in weights.items() if k not in gone}, path, {"format": "pt"})
    with pytest.raises(UnsupportedModel) as caught:
        source.load(folder)
    assert all(name in str(caught.value) for name in gone)
    assert "\n" not in str(caught.value)


def test_a_head_of_another_width_than_the_labels_is_refused(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model("bert", "text-classification"), tmp_path / "width")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "bad", "1": "good"}
    config["label2id"] = {"bad": 0, "good": 1}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match=r"classifier.weight is \[3, 32\].*\[2, 32\]"):
        source.load(folder)


def test_body_tasks_take_a_checkpoint_with_any_head(tiny_model: Callable[..., Path]) -> None:
    # A masked language model has no pooler, and needs none here.
    folder = tiny_model("bert", "fill-mask")
    traced = source.load(folder, task="feature-extraction")
    assert traced.source.architecture == "BertModel"
    feeds = feeds_of(traced, TEXTS)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).bert.eval()
    with torch.inference_mode():
        expected = model(**{k: torch.from_numpy(v) for k, v in feeds.items()})
    np.testing.assert_allclose(
        traced.reference(feeds)["last_hidden_state"], expected[0].numpy(), atol=2e-6
    )


def test_loading_says_nothing(
    tiny_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    source.load(tiny_model("bert", "fill-mask"), task="feature-extraction")
    assert capfd.readouterr() == ("", "")


def test_a_missing_extra_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'edge-tx\[export\]'"):
        source.load(tmp_path)
