"""Tiny random sentence-transformers folders, in the layouts of its versions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.data.tiny import SEED, build_model


def build_sentence_model(
    folder: Path,
    family: str = "bert",
    *,
    pooling: Sequence[str] = ("mean",),
    include_prompt: bool = True,
    dense: int = 0,
    dense_activation: str = "torch.nn.modules.activation.Tanh",
    layer_norm: bool = False,
    dropout: bool = False,
    normalize: bool = True,
    max_seq_length: int | None = 64,
    do_lower_case: bool = False,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    similarity: str | None = "cosine",
    legacy: bool = True,
    **overrides: Any,
) -> None:
    """Writes a sentence-transformers folder.

    Args:
        folder: Where to; made if it is not there.
        family: A key of :data:`FAMILIES`.
        pooling: Modes, concatenated in sentence-transformers' order.
        include_prompt: Of the pooling.
        dense: Width of a dense layer after the pooling; 0 for none.
        dense_activation: Dotted name of its activation.
        layer_norm: Whether a LayerNorm follows.
        dropout: Whether a Dropout follows.
        normalize: Whether a Normalize ends it.
        max_seq_length: Of sentence_bert_config.json; left out if None.
        do_lower_case: Of sentence_bert_config.json.
        prompts: Texts by name.
        default_prompt_name: One of them.
        similarity: Name of the similarity function.
        legacy: Class paths and keys as written up to version 5; else those of version 6.
        overrides: Further arguments of :func:`build_model`.
    """
    build_model(folder, family, "sentence-embedding", **overrides)
    width = json.loads((folder / "config.json").read_text())
    size = int(width.get("hidden_size") or width.get("dim"))
    rows = [("Transformer", "")]
    for name, wanted, writer in (
        ("Pooling", True, lambda at: _pooling(at, pooling, include_prompt, size, legacy)),
        ("Dense", dense > 0, lambda at: _dense(at, size * len(pooling), dense, dense_activation)),
        ("LayerNorm", layer_norm, lambda at: _layer_norm(at, dense or size * len(pooling))),
        ("Dropout", dropout, lambda at: _write(at / "config.json", {"dropout": 0.2})),
        ("Normalize", normalize, lambda at: at.mkdir()),
    ):
        if wanted:
            path = f"{len(rows)}_{name}"
            (folder / path).parent.mkdir(exist_ok=True)
            writer(folder / path)
            rows.append((name, path))
    _write(folder / "modules.json", [_module(i, *row, legacy) for i, row in enumerate(rows)])
    _write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": max_seq_length, "do_lower_case": do_lower_case},
    )
    _write(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": "3.0.0" if legacy else "6.2.0"},
            "prompts": dict(prompts or {}),
            "default_prompt_name": default_prompt_name,
            "similarity_fn_name": similarity,
        },
    )


_LEGACY_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_PACKAGES = {
    "Transformer": "base.modules.transformer",
    "Pooling": "sentence_transformer.modules.pooling",
    "Dense": "base.modules.dense",
    "LayerNorm": "sentence_transformer.modules.layer_norm",
    "Dropout": "sentence_transformer.modules.dropout",
    "Normalize": "base.modules.normalize",
}


def _module(index: int, name: str, path: str, legacy: bool) -> dict[str, Any]:
    package = "models" if legacy else _PACKAGES[name]
    kind = f"sentence_transformers.{package}.{name}"
    return {"idx": index, "name": str(index), "path": path, "type": kind}


def _pooling(at: Path, modes: Sequence[str], include_prompt: bool, size: int, legacy: bool) -> None:
    if legacy:
        flags = {key: mode in modes for mode, key in _LEGACY_MODES.items()}
        record: dict[str, Any] = {"word_embedding_dimension": size, **flags}
    else:
        mode = modes[0] if len(modes) == 1 else list(modes)
        record = {"embedding_dimension": size, "pooling_mode": mode}
    _write(at / "config.json", {**record, "include_prompt": include_prompt})


def _dense(at: Path, takes: int, gives: int, activation: str) -> None:
    record = {"in_features": takes, "out_features": gives, "bias": True}
    _write(at / "config.json", {**record, "activation_function": activation})
    _weights(at, {"linear.weight": (gives, takes), "linear.bias": (gives,)})


def _layer_norm(at: Path, size: int) -> None:
    _write(at / "config.json", {"dimension": size})
    _weights(at, {"norm.weight": (size,), "norm.bias": (size,)})


def _weights(at: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    import torch
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(SEED)
    tensors = {
        name: torch.randn(shape, generator=draw) / math.sqrt(shape[-1])
        for name, shape in shapes.items()
    }
    save_file(tensors, at / "model.safetensors")


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
