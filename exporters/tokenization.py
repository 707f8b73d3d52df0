"""The tokenizer of a checkpoint, as transformers loads it, and how it is to be used.

Imports transformers: reach it from inside functions only.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import transformers
from tokenizers import normalizers

from edge_tx.errors import InvalidConfig, UnsupportedModel
from edge_tx.exporters.checkpoint import Checkpoint
from edge_tx.exporters.network import length_trained, position_limit
from edge_tx.exporters.sentence import TransformerSettings
from edge_tx.policy import TokenizerPolicy

__all__ = ["load_tokenizer", "read_policy", "tokenizer_json"]

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.bpe.codes")
_ROLES = ("cls", "sep", "mask", "unk", "pad", "bos", "eos")
# transformers writes int(1e30) where a tokenizer has no limit.
_NO_LIMIT = 10**9


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer that transformers makes of a folder's files.

    Raises:
        UnsupportedModel: There are no such files, they are damaged, or the tokenizer is written
            in Python, which no device could run.
    """
    folder = checkpoint.transformer
    # Without its files, transformers makes up a tokenizer of five special tokens.
    if not any(any(folder.glob(pattern)) for pattern in _FILES):
        raise UnsupportedModel(
            f"{folder} has no tokenizer: save it there with tokenizer.save_pretrained"
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # transformers and tokenizers raise of every kind
        problem = " ".join(str(exc).split())[:300]
        raise UnsupportedModel(f"the tokenizer of {folder} cannot be loaded: {problem}") from exc
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise UnsupportedModel(
            f"{checkpoint.name} has a {type(tokenizer).__name__}, which runs in Python only: it "
            "needs a tokenizer.json"
        )
    if getattr(tokenizer, "split_special_tokens", False):
        raise UnsupportedModel(
            f"{folder}: split_special_tokens is true, which a tokenizer.json cannot say, so that "
            "special tokens in a text would count: set it to false in tokenizer_config.json, and "
            "take them out of texts that you do not trust"
        )
    return tokenizer


def tokenizer_json(tokenizer: Any, settings: TransformerSettings) -> str:
    """Contents of a ``tokenizer.json`` that does what the tokenizer does.

    transformers changes what it reads (special tokens, lower-casing, templates of
    tokenizer_config.json), so the file in the folder is not the truth, and may not be there.
    """
    backend = _copy(tokenizer)
    backend.no_padding()
    backend.no_truncation()
    if settings.do_lower_case:
        # At the front, as in sentence-transformers.
        first = normalizers.Lowercase()
        rest = backend.normalizer
        backend.normalizer = normalizers.Sequence([first] if rest is None else [first, rest])
    return str(backend.to_str())


def _copy(tokenizer: Any) -> Any:
    """A copy of the Rust tokenizer, so that the caller's is left as it was."""
    backend = tokenizer.backend_tokenizer
    return type(backend).from_str(backend.to_str())


def read_policy(
    checkpoint: Checkpoint,
    tokenizer: Any,
    model: torch.nn.Module,
    task: str,
    settings: TransformerSettings,
    max_length: int | None = None,
) -> TokenizerPolicy:
    """How the tokenizer is to be used for a model.

    Args:
        checkpoint: For messages.
        tokenizer: Of :func:`load_tokenizer`.
        model: Of :func:`edge_tx.exporters.network.load_network`.
        task: Name of the task.
        settings: Of sentence-transformers.
        max_length: Most tokens in a row; the checkpoint's own limit if None.

    Raises:
        InvalidConfig: ``max_length`` is more than the model can take.
        UnsupportedModel: The tokenizer has more tokens than the model.
    """
    _check_vocabulary(checkpoint, tokenizer, model)
    special = {role: getattr(tokenizer, f"{role}_token_id", None) for role in _ROLES}
    config: Any = model.config
    pads = (special["pad"], getattr(config, "pad_token_id", None), 0)
    return TokenizerPolicy(
        max_length=_max_length(checkpoint, tokenizer, model, settings, max_length),
        inputs=_inputs(checkpoint, tokenizer, model, task),
        pad_id=next(int(pad) for pad in pads if pad is not None),
        pad_type_id=int(tokenizer.pad_token_type_id),
        padding_side=str(tokenizer.padding_side),
        truncation_side=str(tokenizer.truncation_side),
        special={role: int(index) for role, index in special.items() if index is not None},
        clean_up_spaces=bool(tokenizer.clean_up_tokenization_spaces),
    )


def _check_vocabulary(checkpoint: Checkpoint, tokenizer: Any, model: Any) -> None:
    rows = model.get_input_embeddings().num_embeddings
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise UnsupportedModel(
            f"{checkpoint.name}: the tokenizer gives ids up to {highest}, but the model has "
            f"embeddings for {rows} tokens: they are not of one checkpoint"
        )


def _inputs(checkpoint: Checkpoint, tokenizer: Any, model: Any, task: str) -> tuple[str, ...]:
    takes = inspect.signature(model.forward).parameters
    if "attention_mask" not in takes:
        raise UnsupportedModel(
            f"{checkpoint.name} is a {checkpoint.model_type}, which cannot tell padding from text: "
            "its answers would depend on the rest of the batch"
        )
    names = ["input_ids", "attention_mask"]
    # With fewer than two types the ids can only be zeros, which the model assumes by itself
    # (DeBERTa-v3 has none at all, and its tokenizer gives them all the same).
    types = getattr(model.config, "type_vocab_size", None)
    if (
        "token_type_ids" in takes
        and ("token_type_ids" in tokenizer.model_input_names or _asks_by_types(tokenizer, task))
        and (types is None or types > 1)
    ):
        names.append("token_type_ids")
    return tuple(names)


def _asks_by_types(tokenizer: Any, task: str) -> bool:
    """Whether question and context are told apart by types.

    transformers 5 no longer says so of ALBERT's tokenizer and of generic ones, although their
    templates give types, which the checkpoints were trained with and which its pipeline for
    questions fed. For other pairs its pipelines feed what its tokenizers say now, and so do we.
    """
    if task != "question-answering":
        return False
    return any(tokenizer.backend_tokenizer.encode("a", "b").type_ids)


def _max_length(
    checkpoint: Checkpoint,
    tokenizer: Any,
    model: Any,
    settings: TransformerSettings,
    wanted: int | None,
) -> int:
    hard, soft = position_limit(model), length_trained(model)
    if wanted is not None:
        if wanted < 1:
            raise InvalidConfig(f"max_length must be 1 or more, not {wanted}")
        if hard is not None and wanted > hard:
            raise InvalidConfig(
                f"max_length {wanted} is more than the {hard} tokens that {checkpoint.name} has "
                "positions for"
            )
        return wanted
    # sentence-transformers' own setting counts more than the tokenizer's and the config's.
    own = settings.max_seq_length or min(tokenizer.model_max_length, soft or _NO_LIMIT)
    limits = [n for n in (own, hard) if n is not None and n < _NO_LIMIT]
    if not limits:
        raise InvalidConfig(
            f"{checkpoint.name} does not say how long texts may be: give max_length"
        )
    return int(min(limits))
