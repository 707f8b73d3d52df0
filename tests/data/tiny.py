"""Tiny random models of every family, with a real tokenizer of the family's kind.

Weights are drawn with a large spread, so that outputs differ between inputs and a wrong graph
cannot hide behind near-equal numbers. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.data.tiny_tokenizers import Build, bert_like, modernbert, roberta, sentencepiece_like

SEED = 20
SPREAD = 0.3

NER_LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SENTIMENT_LABELS = ("negative", "neutral", "positive")

AUTO_CLASSES: Mapping[str, str] = {
    "feature-extraction": "AutoModel",
    "sentence-embedding": "AutoModel",
    "text-classification": "AutoModelForSequenceClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "text-ranking": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
}

LABELS: Mapping[str, Sequence[str]] = {
    "text-classification": SENTIMENT_LABELS,
    "zero-shot-classification": ("contradiction", "neutral", "entailment"),
    "text-ranking": ("LABEL_0",),
    "token-classification": NER_LABELS,
}


@dataclass(frozen=True)
class Family:
    """One row: how a tiny model of the family is configured, and its tokenizer made."""

    model_type: str
    tokenizer: Build
    config: Mapping[str, Any] = field(default_factory=dict)
    kinds: int = 1  # layers until all that may be special about one was met


_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "initializer_range": SPREAD,
    "hidden_dropout_prob": 0.1,
}
_ROBERTA_SIZES = {**_SIZES, "max_position_embeddings": 130, "type_vocab_size": 1}

FAMILIES: Mapping[str, Family] = {
    "bert": Family("bert", bert_like("BertTokenizer", _BERT_SPECIAL), _SIZES),
    "distilbert": Family(
        "distilbert",
        bert_like("DistilBertTokenizer", _BERT_SPECIAL),
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": 128,
            "initializer_range": SPREAD,
        },
    ),
    "roberta": Family("roberta", roberta, _ROBERTA_SIZES),
    "xlm-roberta": Family(
        "xlm-roberta",
        sentencepiece_like(
            "XLMRobertaTokenizer",
            (("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)),
            ("<mask>",),
        ),
        _ROBERTA_SIZES,
    ),
    "camembert": Family(
        "camembert",
        sentencepiece_like(
            "CamembertTokenizer",
            (
                ("<s>NOTUSED", 0.0),
                ("<pad>", 0.0),
                ("</s>NOTUSED", 0.0),
                ("<unk>", 0.0),
                ("<unk>NOTUSED", -100.0),
                ("<s>", 0.0),
                ("</s>", 0.0),
            ),
            ("<mask>",),
        ),
        {**_ROBERTA_SIZES, "bos_token_id": 5, "eos_token_id": 6},
    ),
    "albert": Family(
        "albert",
        sentencepiece_like(
            "AlbertTokenizer",
            (("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[MASK]", 0.0)),
        ),
        {**_SIZES, "embedding_size": 16},
        kinds=2,  # they share their weights
    ),
    "electra": Family(
        "electra", bert_like("ElectraTokenizer", _BERT_SPECIAL), {**_SIZES, "embedding_size": 16}
    ),
    "mpnet": Family(
        "mpnet",
        bert_like("MPNetTokenizer", ("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")),
        {**_SIZES, "max_position_embeddings": 130},
    ),
    "deberta-v2": Family(
        "deberta-v2",
        sentencepiece_like(
            "DebertaV2Tokenizer",
            (("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)),
            ("[MASK]",),
            charsmap=False,
        ),
        {
            **_SIZES,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 32,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
    ),
    "mobilebert": Family(
        "mobilebert",
        bert_like("MobileBertTokenizer", _BERT_SPECIAL),
        {**_SIZES, "embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    ),
    "modernbert": Family(
        "modernbert",
        modernbert,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 128,
            "local_attention": 16,
            "initializer_range": SPREAD,
        },
        kinds=2,  # the first looks at the whole text, the second at a part
    ),
}


def build_model(
    folder: Path,
    family: str,
    task: str,
    *,
    labels: Sequence[str] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    shallow: bool = False,
    **config: Any,
) -> None:
    """Writes config.json, model.safetensors and the tokenizer of a tiny random model.

    Args:
        folder: Where to; made if it is not there.
        family: A key of :data:`FAMILIES`.
        task: A key of :data:`AUTO_CLASSES`.
        labels: Names of a classifier's outputs; the task's own if not given.
        tokenizer: Further arguments of the tokenizer's class.
        shallow: With no more layers than there are kinds of them: a graph takes half the time
            to export, and a second layer of a kind shows nothing new.
        config: Further values of the model's config.
    """
    import torch
    import transformers

    row = FAMILIES[family]
    tok = row.tokenizer({"model_max_length": 128, **(tokenizer or {})})
    names = LABELS.get(task, ()) if labels is None else labels
    values = {**row.config, "vocab_size": len(tok), **_special_ids(tok), **_label_map(names)}
    if shallow:
        values["n_layers" if "n_layers" in row.config else "num_hidden_layers"] = row.kinds
    settings = transformers.AutoConfig.for_model(row.model_type, **{**values, **config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = getattr(transformers, AUTO_CLASSES[task]).from_config(settings)
        _spread(model)
    model.save_pretrained(folder)
    tok.save_pretrained(folder)


def _special_ids(tok: Any) -> dict[str, int]:
    # Configs of BERT-like models carry no cls or sep ids; ModernBERT's defaults are out of a
    # tiny vocabulary's range.
    return {
        f"{role}_token_id": getattr(tok, f"{token}_token_id")
        for role, token in (("pad", "pad"), ("bos", "cls"), ("eos", "sep"))
    } | {"cls_token_id": tok.cls_token_id, "sep_token_id": tok.sep_token_id}


def _label_map(labels: Sequence[str]) -> dict[str, Any]:
    if not labels:
        return {}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _spread(model: Any) -> None:
    """Gives biases and norms, which start as constants, values that a wrong graph would miss."""
    import torch

    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.ndim == 1:
                centre = 0.0 if name.endswith("bias") else 1.0
                weight.copy_(centre + 0.1 * torch.randn_like(weight))
