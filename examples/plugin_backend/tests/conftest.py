"""Tiny models to export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Tiny = Callable[[str], Path]

_LABELS = {0: "bad", 1: "good", 2: "plain"}
_CLASSES = {
    "sentence-embedding": "BertModel",
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """``tiny(task)``: folder of a random BERT of one layer with a tokenizer of characters."""
    root = tmp_path_factory.mktemp("tiny")

    def build(task: str) -> Path:
        folder = root / task
        if not folder.exists():
            _build(folder, _CLASSES[task])
        return folder

    return build


def _build(folder: Path, kind: str) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=_LABELS,
        # A large spread: outputs differ between inputs, so that a wrong graph shows.
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    getattr(transformers, kind)(config).eval().save_pretrained(folder)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))
    ).save_pretrained(folder)
