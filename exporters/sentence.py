"""The modules of a sentence-transformers folder, in order.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.checkpoint import Checkpoint, ModuleRow
from edge_tx.exporters.files import read_json
from edge_tx.exporters.stages import POOLING_MODES, Affine, Normalize, Pooling, Truncate
from edge_tx.exporters.task_inference import is_cross_encoder
from edge_tx.exporters.weights import weight_files

__all__ = ["Stage", "TransformerSettings", "read_stages", "read_transformer_settings"]

_TOKENS, _SENTENCE = "token_embeddings", "sentence_embedding"

# Flags of configs up to version 5, in the order in which their outputs are joined.
_MODE_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLING_KEYS = frozenset(
    {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt"}
) | frozenset(_MODE_FLAGS)
_DENSE_KEYS = frozenset(
    {
        "in_features",
        "out_features",
        "bias",
        "activation_function",
        "module_input_name",
        "module_output_name",
        "use_residual",
    }
)
_FEATURE_KEYS = frozenset({"module_input_name", "module_output_name"})

# Names that the Transformer's config had in its time, in the order they are looked for.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# What sentence-transformers hands to transformers when it loads the parts, under old and new
# names, and what of it changes no answer.
_LOADING = (
    "model_args",
    "model_kwargs",
    "tokenizer_args",
    "processor_kwargs",
    "config_args",
    "config_kwargs",
)
_HARMLESS = frozenset(
    {
        "add_pooling_layer",
        "attn_implementation",
        "device_map",
        "dtype",
        "low_cpu_mem_usage",
        "torch_dtype",
        "trust_remote_code",
        "use_safetensors",
    }
)
# Settings that a cross-encoder has of another kind: its head tells what it is.
_OF_ENCODERS = frozenset({"transformer_task", "module_output_name"})
# Settings of the Transformer that would change what it computes, and the values that do not.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, _TOKENS),
    "processing_kwargs": (None, {}),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "unpad_inputs": (None, False, True),  # how padding is left out, not what comes out
}
_TRANSFORMER_KEYS = frozenset(
    {"max_seq_length", "do_lower_case", "modality_config", *_NEUTRAL, *_LOADING}
)


@dataclass(frozen=True)
class Stage:
    """One module after the transformer.

    Attributes:
        name: For the manifest, e.g. ``"pooling:mean"``.
        module: Of :mod:`edge_tx.exporters.stages`.
        reads: Feature it takes.
        writes: Feature it gives.
        weights: Files its weights came from.
    """

    name: str
    module: torch.nn.Module
    reads: str
    writes: str
    weights: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TransformerSettings:
    """What sentence-transformers keeps beside the tokenizer's files.

    Attributes:
        max_seq_length: Most tokens in a row; None if it does not say.
        do_lower_case: Whether texts are lower-cased before all else.
    """

    max_seq_length: int | None = None
    do_lower_case: bool = False


def read_stages(checkpoint: Checkpoint) -> tuple[Stage, ...]:
    """The modules after the transformer; mean pooling for a folder that has no modules.json.

    Raises:
        UnsupportedModel: A module is of an unknown class or has an unknown setting, its weights
            do not fit, or the modules do not end in a sentence embedding.
    """
    if not checkpoint.modules or is_cross_encoder(checkpoint):
        # What sentence-transformers itself makes of a plain transformer.
        pooling = Stage("pooling:mean", Pooling(["mean"]), _TOKENS, _SENTENCE)
        return (pooling, *_truncation(checkpoint))
    first, *rest = checkpoint.modules
    if first.kind != "Transformer" or not _is_known(first):
        raise UnsupportedModel(
            f"{checkpoint.name} begins with {first.type}, not with a Transformer"
        )
    stages = [
        _build(checkpoint, row) for row in rest if row.kind != "Dropout" or not _is_known(row)
    ]
    _check_flow(checkpoint, stages)
    return (*stages, *_truncation(checkpoint))


def read_transformer_settings(checkpoint: Checkpoint) -> TransformerSettings:
    """Reads ``sentence_bert_config.json``, under any of its names.

    Raises:
        UnsupportedModel: It asks for something that a graph of one text cannot do.
    """
    paths = (checkpoint.transformer / name for name in _TRANSFORMER_CONFIGS)
    path = next((path for path in paths if path.exists()), None)
    if path is None or not checkpoint.modules:
        return TransformerSettings()
    config = read_json(path)
    odd = _odd_settings(config, is_cross_encoder(checkpoint))
    if odd:
        raise UnsupportedModel(
            f"{path} asks for what cannot be exported: {odd}; what it says of the tokenizer or of "
            "the config belongs into their own files"
        )
    length = config.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise UnsupportedModel(f"max_seq_length of {path} is {length!r}, not a number of tokens")
    return TransformerSettings(length, bool(config.get("do_lower_case", False)))


def _odd_settings(config: Mapping[str, Any], cross_encoder: bool) -> dict[str, Any]:
    odd = {k: config[k] for k, neutral in _NEUTRAL.items() if config.get(k) not in neutral}
    odd |= {k: config[k] for k in config.keys() - _TRANSFORMER_KEYS}
    odd |= {k: config[k] for k in _LOADING if (config.get(k) or {}).keys() - _HARMLESS}
    text = (config.get("modality_config") or {}).get("text", {})
    if cross_encoder:
        return {k: value for k, value in odd.items() if k not in _OF_ENCODERS}
    return odd | ({"modality_config": text} if text.get("method", "forward") != "forward" else {})


def _is_known(row: ModuleRow) -> bool:
    return row.type.startswith("sentence_transformers.") and row.kind in {
        "Transformer",
        "Dropout",  # does nothing outside training
        *_BUILDERS,
    }


def _build(checkpoint: Checkpoint, row: ModuleRow) -> Stage:
    if not _is_known(row) or row.kind == "Transformer":
        known = ", ".join(["Transformer", "Dropout", *_BUILDERS])
        raise UnsupportedModel(
            f"{checkpoint.name} has a module {row.type}, which cannot be exported; known: {known}"
        )
    folder = checkpoint.folder / row.path
    config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    builder, keys = _BUILDERS[row.kind]
    unknown = sorted(config.keys() - keys)
    if unknown:
        raise UnsupportedModel(f"{folder / 'config.json'} has unknown {', '.join(unknown)}")
    try:
        return builder(checkpoint, folder, config)
    except (KeyError, TypeError, ValueError) as exc:
        raise UnsupportedModel(f"{folder / 'config.json'} is incomplete or wrong: {exc}") from exc


def _check_flow(checkpoint: Checkpoint, stages: list[Stage]) -> None:
    have = {_TOKENS}
    for stage in stages:
        if stage.reads not in have:
            raise UnsupportedModel(
                f"{checkpoint.name}: module {stage.name} reads {stage.reads}, which no module "
                "before it gives"
            )
        have.add(stage.writes)
    if _SENTENCE not in have:
        raise UnsupportedModel(
            f"{checkpoint.name} has no Pooling: it gives no sentence embedding; export it with "
            "--task feature-extraction"
        )


def _truncation(checkpoint: Checkpoint) -> tuple[Stage, ...]:
    """What ``SentenceTransformer(truncate_dim=...)`` saves: it cuts last, and does not rescale."""
    size = checkpoint.sentence.get("truncate_dim")
    if size is None:
        return ()
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UnsupportedModel(f"{checkpoint.name}: truncate_dim is {size!r}, not a number of dims")
    return (Stage(f"truncate:{size}", Truncate(size), _SENTENCE, _SENTENCE),)


# ------------------------------------------------------------------------------- the modules


def _pooling(checkpoint: Checkpoint, folder: Path, config: Mapping[str, Any]) -> Stage:
    modes = _modes(config)
    unknown = [mode for mode in modes if mode not in POOLING_MODES]
    if unknown:
        raise UnsupportedModel(
            f"{folder} pools by {', '.join(map(repr, unknown))}; known: {', '.join(POOLING_MODES)}"
        )
    prompts = checkpoint.sentence.get("prompts") or {}
    if not config.get("include_prompt", True) and any(prompts.values()):
        raise UnsupportedModel(
            f"{folder} leaves the prompt's tokens out of the pooling, which a graph cannot tell "
            "from the text's: export a model with include_prompt true"
        )
    return Stage(f"pooling:{'+'.join(modes)}", Pooling(modes), _TOKENS, _SENTENCE)


def _modes(config: Mapping[str, Any]) -> tuple[str, ...]:
    mode = config.get("pooling_mode")
    if mode is None:
        return tuple(m for flag, m in _MODE_FLAGS.items() if config.get(flag)) or ("mean",)
    return (mode,) if isinstance(mode, str) else tuple(map(str, mode))


def _dense(checkpoint: Checkpoint, folder: Path, config: Mapping[str, Any]) -> Stage:
    takes, gives = int(config["in_features"]), int(config["out_features"])
    reads, writes = _features(config)
    layers: dict[str, torch.nn.Module] = {
        "linear": torch.nn.Linear(takes, gives, bias=bool(config.get("bias", True)))
    }
    residual: torch.nn.Module | None = None
    if config.get("use_residual", False):
        residual = torch.nn.Identity()
        if takes != gives:
            residual = layers["residual"] = torch.nn.Linear(takes, gives, bias=False)
    weights = _load_weights(folder, torch.nn.ModuleDict(layers))
    activation = _activation(folder, config.get("activation_function", "torch.nn.Tanh"))
    name = f"dense:{takes}x{gives}:{type(activation).__name__.lower()}"
    module = Affine(layers["linear"], activation, residual, reads, writes)
    return Stage(name, module, reads, writes, weights)


def _layer_norm(checkpoint: Checkpoint, folder: Path, config: Mapping[str, Any]) -> Stage:
    norm = torch.nn.LayerNorm(int(config["dimension"]))
    weights = _load_weights(folder, torch.nn.ModuleDict({"norm": norm}))
    module = Affine(norm, torch.nn.Identity(), None, _SENTENCE, _SENTENCE)
    return Stage("layer_norm", module, _SENTENCE, _SENTENCE, weights)


def _normalize(checkpoint: Checkpoint, folder: Path, config: Mapping[str, Any]) -> Stage:
    reads, writes = _features(config)
    return Stage("normalize", Normalize(reads, writes), reads, writes)


def _features(config: Mapping[str, Any]) -> tuple[str, str]:
    reads = str(config.get("module_input_name") or _SENTENCE)
    return reads, str(config.get("module_output_name") or reads)


def _activation(folder: Path, dotted: Any) -> torch.nn.Module:
    """An activation of torch.nn by its dotted name; nothing else is ever imported or called."""
    package, _, name = str(dotted).rpartition(".")
    kind = getattr(torch.nn, name, None) if f"{package}.".startswith("torch.nn.") else None
    if not isinstance(kind, type) or not issubclass(kind, torch.nn.Module):
        raise UnsupportedModel(f"{folder} has the activation {dotted}, which is none of torch.nn")
    return kind()


def _load_weights(folder: Path, module: torch.nn.Module) -> tuple[Path, ...]:
    paths = weight_files(folder)
    state = {name: weight for path in paths for name, weight in load_file(path).items()}
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as exc:
        problems = " ".join(str(exc).split())
        raise UnsupportedModel(f"weights of {folder} do not fit its config: {problems}") from exc
    return paths


_Builder = Callable[[Checkpoint, Path, Mapping[str, Any]], Stage]
_BUILDERS: Mapping[str, tuple[_Builder, frozenset[str]]] = {
    "Pooling": (_pooling, _POOLING_KEYS),
    "Dense": (_dense, _DENSE_KEYS),
    "LayerNorm": (_layer_norm, frozenset({"dimension"})),
    "Normalize": (_normalize, _FEATURE_KEYS),
}
